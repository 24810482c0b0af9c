// Hands the node's jobs to sandboxed worker processes and answers for those that die.
//
// Single-threaded, so that fork is safe at any time; one poll loop. A worker is starting (warming up), idle
// or busy. Each job ends in exactly one JobResult: the worker's own, `crashed` when it died, `deadline` when
// it was killed for time, `cancelled`, or `busy` when no lane was free. A worker that died, spoke nonsense,
// did its share of jobs or grew too large is killed and replaced: memory always comes back.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "imaging/protocol.h"

namespace vignette::imaging {

struct SupervisorOptions {
  std::uint32_t lanes = 1;                                 // for ordinary jobs
  std::uint32_t heavy_lanes = 1;                           // added to them
  std::uint32_t max_jobs = 10'000;                         // of one worker, then it is replaced
  std::uint64_t max_rss_bytes = std::uint64_t{384} << 20;  // of one worker after a job
  bool test_faults = false;                                // obey Job::fault
};

class Supervisor {
 public:
  Supervisor(UniqueFd node, SupervisorOptions options);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Serves until the node closes its end: 0. Non-zero when workers cannot start or the node speaks nonsense.
  int run();

 private:
  struct Task {
    Job job;
    UniqueFd source;
    UniqueFd picture;
    TimePoint received;
    TimePoint started;
    TimePoint deadline;
  };
  enum class WorkerState : std::uint8_t { starting, idle, busy };
  struct Worker {
    pid_t pid = -1;
    UniqueFd socket;
    WorkerState state = WorkerState::starting;
    TimePoint spawned;
    std::uint32_t jobs_done = 0;
    std::optional<Task> task;  // exactly when busy
  };
  struct Outgoing {
    std::string frame;
    std::size_t sent = 0;
    UniqueFd fd;
  };

  bool spawn(Worker& worker);
  void replace(Worker& worker);
  bool turn();
  int poll_timeout_ms(TimePoint now) const;

  bool read_node();
  void accept(Received received);
  void accept_job(const Job& job, UniqueFd source);
  void cancel(std::uint64_t id);
  void dispatch();
  bool start(Worker& worker, Task& task);

  void read_worker(Worker& worker);
  void worker_failed(Worker& worker, ErrorClass error);
  void finish(Worker& worker, JobResult result);
  bool spent(const Worker& worker) const;
  void expire(TimePoint now);

  void answer(const Task& task, ErrorClass error);
  void send(JobResult result, UniqueFd picture);
  bool flush();

  UniqueFd node_;
  SupervisorOptions options_;
  FrameReader reader_;
  std::vector<Worker> workers_;
  std::deque<Task> waiting_;
  std::deque<Outgoing> outgoing_;
  UniqueFd null_;
  bool greeted_ = false;
  std::uint32_t failed_starts_ = 0;
};

}  // namespace vignette::imaging
