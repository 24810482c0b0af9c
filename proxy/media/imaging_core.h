// What ImagingService keeps on the main loop; for its two files alone. imaging_queue.cc decides about jobs,
// imaging_service.cc runs the program.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <deque>
#include <optional>
#include <unordered_map>

#include "net/signal.h"
#include "net/stream.h"
#include "proxy/media/imaging_service.h"

namespace vignette::proxy {

inline constexpr std::chrono::seconds kOverdue{5};  // past a job's deadline the program is stuck
// Of how long a job takes, until some have been seen.
inline constexpr std::chrono::milliseconds kFirstGuess{200};

// A frame for the program.
struct Outgoing {
  std::string frame;
  UniqueFd fd;
};

// Where a result is left; used on the caller's loop only.
struct ImagingService::Reply {
  net::Signal done;
  std::optional<ImageJobResult> result;
};

struct ImagingService::Ticket {
  std::uint64_t id = 0;
  ImageJob job;
  TimePoint deadline;
  std::shared_ptr<Reply> reply;
  std::shared_ptr<net::Mailbox> caller;
  std::uint64_t cost = 0;
  bool heavy = false;
  TimePoint arrived{};
  TimePoint started{};
  TimePoint due{};  // the program's own deadline
};

// One life of the program.
struct ImagingService::Session {
  net::Stream stream;
  pid_t pid = 0;
  TimePoint spawned;
  imaging::FrameReader reader;
  std::deque<Outgoing> outbox;
  net::Signal has_output;
  bool over = false;
};

// The state on the main loop. Letters and strands hold it, so it outlives whoever still has a say.
struct ImagingService::Core {
  Core(net::Worker& worker, Options chosen, Logger& logger, Metrics& metrics);

  std::expected<void, std::string> launch();
  void arrive(std::unique_ptr<Ticket> ticket);
  void give_up(std::uint64_t id);
  void dispatch();
  void begin(std::unique_ptr<Ticket> ticket);
  void send(std::string frame, UniqueFd fd);
  bool receive(imaging::Received received);
  bool finish(imaging::JobResult result, UniqueFd picture);
  void answer(Ticket& ticket, imaging::JobResult result, UniqueFd picture);
  void answer(Ticket& ticket, imaging::ErrorClass error);
  void release(const Ticket& ticket);
  void lose_session();
  void show_queue() { queue_length.set(static_cast<std::int64_t>(waiting.size())); }

  bool comes_too_late(const Ticket& newcomer) const;
  void learn(const Ticket& ticket, imaging::ErrorClass error);
  bool is_quarantined(std::uint64_t key);
  void note_crash(std::uint64_t key);
  bool stuck() const;

  net::Worker& loop;
  const std::shared_ptr<net::Mailbox> mailbox;
  const Options options;
  Logger& log;
  std::array<Counter*, imaging::kErrorClassCount> results{};
  Histogram& durations;
  Gauge& queue_length;
  Gauge& at_work_now;
  Counter& restarts;
  std::atomic<std::uint64_t> next_id{1};
  std::atomic<int> pid{0};
  SourceBudget sources;

  // Main loop only.
  std::shared_ptr<Session> session;
  imaging::Hello hello;  // lanes 0: not ready
  std::deque<std::unique_ptr<Ticket>> waiting;
  std::unordered_map<std::uint64_t, std::unique_ptr<Ticket>> at_work;
  std::uint32_t heavy_at_work = 0;
  std::uint64_t used_bytes = 0;
  Duration usual[2] = {kFirstGuess, kFirstGuess};  // a job's time at work, moving averages: light, heavy
  struct Suspect {
    unsigned crashes = 0;
    TimePoint until;
  };
  std::unordered_map<std::uint64_t, Suspect> suspects;
};

}  // namespace vignette::proxy
