// The node's side of vignette-imaging (imaging/protocol.h): starts the program, queues jobs for its lanes,
// and starts it again when it dies.
//
//   caller's strand --post--> main loop: quarantine, queue, admission --socket--> vignette-imaging
//          ^------------------post-------------- JobResult <------------socket-----------'
//
// A job waits while every lane is taken, while every heavy lane is taken (heavy ones; lighter ones pass
// them), and while the estimated memory of all jobs at work would pass the budget (nobody passes such a job,
// so that a large one gets its turn). What the queue has no place for, or would not reach in time by what
// jobs usually take, is `busy` at once, and so is an original that has no room in memory beside the others.
// When the program dies, its jobs are `crashed`, those that wait go on waiting, and it is started again after
// a growing pause.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/metrics.h"
#include "imaging/protocol.h"
#include "net/task.h"
#include "net/worker.h"
#include "proxy/media/source_budget.h"

namespace vignette::proxy {

// What jobs at work may need together, by estimate_bytes().
inline constexpr std::uint64_t kImageBudgetBytes = std::uint64_t{512} << 20;
// Jobs that wait for a lane.
inline constexpr std::size_t kMaxWaitingImageJobs = 256;
// Originals in memory: being read, waiting and at work.
inline constexpr std::uint64_t kSourceBudgetBytes = std::uint64_t{512} << 20;
// A key whose jobs killed this many workers is refused (`crashed`) until this long after the last one.
inline constexpr unsigned kCrashesToQuarantine = 2;
inline constexpr std::chrono::seconds kQuarantine{60};

struct ImageJob {
  imaging::Job::Kind kind = imaging::Job::Kind::transform;
  imaging::ImageHeader header;  // of the source, by scan_header: decides lane and memory
  imaging::OutputFormat output = imaging::OutputFormat::jpeg;
  imaging::Transform transform;
  UniqueFd source;  // a sealed memfd of `source_bytes`
  std::uint64_t source_bytes = 0;
  SourceBudget::Permit permit;                  // for them, from admit()
  std::uint64_t quarantine_key = 0;             // the same for jobs that would crash alike
  imaging::Fault fault = imaging::Fault::none;  // tests only, with Options::test_faults
};

struct ImageJobResult {
  imaging::JobResult result;  // result.error says how it ended
  UniqueFd picture;           // a sealed memfd of result.output_bytes, when a picture was made
};

class ImagingService {
 public:
  struct Options {
    std::string program;                         // path of vignette-imaging
    std::uint32_t workers = 0;                   // lanes beside the heavy ones; 0: one a core
    std::chrono::milliseconds deadline{10'000};  // of a job, waiting included
    std::uint64_t max_pixels = 100'000'000;
    std::uint64_t max_source_bytes = std::uint64_t{64} << 20;
    std::uint64_t budget_bytes = kImageBudgetBytes;
    std::size_t max_waiting = kMaxWaitingImageJobs;
    std::uint64_t source_budget_bytes = kSourceBudgetBytes;
    bool test_faults = false;
  };

  // All references must outlive it. `loop` is the node's main loop.
  ImagingService(net::Worker& loop, Options options, Logger& log, Metrics& metrics);
  // Ends the program: closes its socket, kills it when it has not left after a grace time. Not while the loop
  // runs. Jobs that still wait are answered `cancelled`.
  ~ImagingService();
  ImagingService(const ImagingService&) = delete;
  ImagingService& operator=(const ImagingService&) = delete;

  // Starts the program; jobs may come at once and wait until it is ready. On the loop's thread or before the
  // loop runs. The error is a sentence for the operator: no such program, or it cannot be started.
  std::expected<void, std::string> start();

  // Before an original of so many bytes is read into memory. Empty: `busy`, and counted as that. Thread-safe.
  SourceBudget::Permit admit(std::uint64_t source_bytes);

  // From a strand of any worker (`caller` is its own). How it ended is in the result: `deadline` when it is
  // not done in time, `busy`, `too_large` (would never fit the budget), `crashed`… Errors: cancelled alone. A
  // strand that is cancelled or dropped gives its job up: it is taken out of the queue, or cancelled unless
  // about half done.
  net::Task<Result<ImageJobResult>> run(net::Worker& caller, ImageJob job, TimePoint deadline);

  const Options& options() const;
  imaging::Limits limits() const;  // of originals

  // Thread-safe.
  std::size_t waiting() const;
  std::uint64_t source_bytes() const;  // admitted now
  int program_pid() const;             // 0: not running

 private:
  struct Core;
  struct Session;
  struct Ticket;
  struct Reply;
  class Departure;
  friend class Departure;

  enum class Ended : std::uint8_t { cancelled, died, stuck, nonsense };
  static const char* explain(Ended ended);

  static net::Task<void> supervise(std::shared_ptr<Core> core);
  static net::Task<Ended> receive_frames(std::shared_ptr<Core> core, std::shared_ptr<Session> session);
  static net::Task<void> send_frames(std::shared_ptr<Core> core, std::shared_ptr<Session> session);

  std::shared_ptr<Core> core_;
};

}  // namespace vignette::proxy
