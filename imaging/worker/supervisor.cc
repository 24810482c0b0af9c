#include "imaging/worker/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <utility>

#include "imaging/memfd.h"
#include "imaging/worker/process_memory.h"
#include "imaging/worker/socket.h"
#include "imaging/worker/worker.h"

namespace vignette::imaging {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::seconds kMaxStart{60};  // generous: sanitizer builds on a loaded machine
constexpr std::uint32_t kMaxFailedStarts = 5;  // in a row, then the program gives up
constexpr int kWorkerSocket = 3;

TimePoint now() { return std::chrono::steady_clock::now(); }

std::uint32_t microseconds(Duration duration) {
  const auto count = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(count, 0, UINT32_MAX));
}

// Between fork and worker_main: keeps descriptors 0 to 2 (null) and the socket, nothing else.
[[noreturn]] void become_worker(int socket, int null, pid_t supervisor) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != supervisor) _exit(0);
  std::signal(SIGPIPE, SIG_DFL);
  dup2(null, STDIN_FILENO);
  dup2(null, STDOUT_FILENO);
#ifndef VIGNETTE_SANITIZED  // whose reports go to the standard error
  dup2(null, STDERR_FILENO);
#endif
  if (socket != kWorkerSocket) dup2(socket, kWorkerSocket);
  fcntl(kWorkerSocket, F_SETFD, FD_CLOEXEC);
  close_range(kWorkerSocket + 1, ~0U, 0);
  worker_main(kWorkerSocket);
}

}  // namespace

Supervisor::Supervisor(UniqueFd node, SupervisorOptions options)
    : node_(std::move(node)),
      options_(options),
      workers_(options.lanes + options.heavy_lanes),
      null_(::open("/dev/null", O_RDWR | O_CLOEXEC)) {}

Supervisor::~Supervisor() {
  for (Worker& worker : workers_) {
    if (worker.pid > 0) {
      kill(worker.pid, SIGKILL);
      waitpid(worker.pid, nullptr, 0);
    }
  }
}

bool Supervisor::spawn(Worker& worker) {
  std::array<int, 2> pair{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) return false;
  UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  const pid_t self = getpid();
  const pid_t pid = fork();
  if (pid < 0) return false;
  if (pid == 0) become_worker(theirs.get(), null_.get(), self);
  fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  worker = Worker{pid, std::move(ours), WorkerState::starting, now(), 0, std::nullopt};
  return true;
}

void Supervisor::replace(Worker& worker) {
  if (worker.pid > 0) {
    kill(worker.pid, SIGKILL);
    waitpid(worker.pid, nullptr, 0);
  }
  if (worker.state == WorkerState::starting && worker.pid > 0) ++failed_starts_;
  worker = Worker{};
  if (failed_starts_ < kMaxFailedStarts && !spawn(worker)) ++failed_starts_;
}

int Supervisor::run() {
  fcntl(node_.get(), F_SETFL, O_NONBLOCK);
  for (Worker& worker : workers_) {
    if (!spawn(worker)) return 1;
  }
  while (true) {
    if (failed_starts_ >= kMaxFailedStarts) {
      std::fputs("vignette-imaging: workers do not start\n", stderr);
      return 1;
    }
    if (!turn()) return reader_.buffered() == 0 ? 0 : 2;
  }
}

// One round of poll. False: the node is gone.
bool Supervisor::turn() {
  std::vector<pollfd> sockets;
  sockets.reserve(workers_.size() + 1);
  const auto node_events = static_cast<short>(POLLIN | (outgoing_.empty() ? 0 : POLLOUT));
  sockets.push_back({node_.get(), node_events, 0});
  for (const Worker& worker : workers_) sockets.push_back({worker.socket.get(), POLLIN, 0});  // -1 is skipped
  if (poll(sockets.data(), sockets.size(), poll_timeout_ms(now())) < 0 && errno != EINTR) return false;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (sockets[i + 1].revents != 0) read_worker(workers_[i]);
  }
  if (sockets[0].revents != 0 && !read_node()) return false;
  expire(now());
  for (Worker& worker : workers_) {
    if (worker.pid < 0) replace(worker);  // an earlier fork failed
  }
  dispatch();
  return flush();
}

int Supervisor::poll_timeout_ms(TimePoint at) const {
  TimePoint wake = TimePoint::max();
  for (const Task& task : waiting_) wake = std::min(wake, task.deadline);
  for (const Worker& worker : workers_) {
    if (worker.task) wake = std::min(wake, worker.task->deadline);
    if (worker.state == WorkerState::starting) wake = std::min(wake, worker.spawned + kMaxStart);
  }
  if (wake == TimePoint::max()) return -1;
  return static_cast<int>(std::max<std::int64_t>(0, std::chrono::ceil<milliseconds>(wake - at).count()));
}

bool Supervisor::read_node() {
  std::array<char, 16384> buffer;
  while (true) {
    Result<std::optional<Packet>> packet = receive_with_fds(node_.get(), buffer);
    if (!packet) return false;
    if (!*packet) return true;
    if ((*packet)->size == 0) return false;
    for (UniqueFd& fd : (*packet)->fds) reader_.feed_fd(std::move(fd));
    reader_.feed(std::string_view(buffer.data(), (*packet)->size));
    while (true) {
      Result<std::optional<Received>> received = reader_.next();
      if (!received) return false;
      if (!*received) break;
      accept(std::move(**received));
    }
  }
}

void Supervisor::accept(Received received) {
  if (const auto* job = std::get_if<Job>(&received.message)) {
    accept_job(*job, std::move(received.fd));
  } else if (const auto* cancelled = std::get_if<Cancel>(&received.message)) {
    cancel(cancelled->id);
  }
}

void Supervisor::accept_job(const Job& job, UniqueFd source) {
  const TimePoint at = now();
  Task task{job, std::move(source), UniqueFd(), at, at, at + milliseconds(job.deadline_ms)};
  const auto running = static_cast<std::size_t>(
      std::ranges::count_if(workers_, [](const Worker& worker) { return worker.task.has_value(); }));
  if (running + waiting_.size() >= workers_.size()) {
    answer(task, ErrorClass::busy);
  } else if (!check_sealed(task.source.get(), job.source_bytes) ||
             (job.fault != Fault::none && !options_.test_faults)) {
    answer(task, ErrorClass::internal);
  } else {
    waiting_.push_back(std::move(task));
  }
}

void Supervisor::cancel(std::uint64_t id) {
  const auto waiting = std::ranges::find_if(waiting_, [id](const Task& task) { return task.job.id == id; });
  if (waiting != waiting_.end()) {
    answer(*waiting, ErrorClass::cancelled);
    waiting_.erase(waiting);
    return;
  }
  for (Worker& worker : workers_) {
    if (worker.task && worker.task->job.id == id) {
      worker_failed(worker, ErrorClass::cancelled);
      return;
    }
  }
}

void Supervisor::dispatch() {
  for (Worker& worker : workers_) {
    if (waiting_.empty()) return;
    if (worker.state != WorkerState::idle) continue;
    if (start(worker, waiting_.front())) {
      waiting_.pop_front();
    } else {
      replace(worker);  // it died while idle: the job waits for another
    }
  }
}

bool Supervisor::start(Worker& worker, Task& task) {
  Result<UniqueFd> picture = create_memfd("picture");
  if (!picture) return false;
  std::string frame;
  encode(task.job, frame);
  const std::array<int, 2> fds{task.source.get(), picture->get()};
  const Result<std::size_t> sent = send_with_fds(worker.socket.get(), frame, fds);
  if (!sent || *sent != frame.size()) return false;
  task.picture = std::move(*picture);
  task.source.reset();
  task.started = now();
  worker.task = std::move(task);
  worker.state = WorkerState::busy;
  return true;
}

void Supervisor::read_worker(Worker& worker) {
  std::array<char, kFrameHeaderBytes + kMaxFrameBytes> buffer;
  Result<std::optional<Packet>> packet = receive_with_fds(worker.socket.get(), buffer);
  if (packet && !*packet) return;
  Result<Message> message = fail(Code::closed, Blame::internal, "worker");
  if (packet && (*packet)->size >= kFrameHeaderBytes && (*packet)->fds.empty()) {
    const std::string_view frame(buffer.data(), (*packet)->size);
    message = decode_body(static_cast<std::uint8_t>(frame[5]), frame.substr(kFrameHeaderBytes));
  }
  const bool starting = worker.state == WorkerState::starting;
  if (message && starting && std::holds_alternative<Hello>(*message)) {
    worker.state = WorkerState::idle;
    failed_starts_ = 0;
    if (std::exchange(greeted_, true)) return;
    Outgoing hello;
    encode(Hello{static_cast<std::uint32_t>(workers_.size()), options_.heavy_lanes}, hello.frame);
    outgoing_.push_back(std::move(hello));
    return;
  }
  auto* result = message ? std::get_if<JobResult>(&*message) : nullptr;
  if (result != nullptr && worker.task && result->id == worker.task->job.id) {
    finish(worker, *result);
  } else {
    worker_failed(worker, ErrorClass::crashed);
  }
}

void Supervisor::worker_failed(Worker& worker, ErrorClass error) {
  if (worker.task) answer(*worker.task, error);
  replace(worker);
}

// Believes nothing: the picture must be of the size and format announced, and is sealed here, not by the
// worker.
void Supervisor::finish(Worker& worker, JobResult result) {
  Task& task = *worker.task;
  const bool made = result.error == ErrorClass::none && task.job.kind == Job::Kind::transform;
  const bool honest =
      result.output == task.job.output && (result.output_bytes > 0) == made &&
      (!made || (seal(task.picture.get()) && check_sealed(task.picture.get(), result.output_bytes)));
  if (!honest) return worker_failed(worker, ErrorClass::crashed);
  result.timings.queue = microseconds(task.started - task.received);
  send(result, made ? std::move(task.picture) : UniqueFd());
  worker.task.reset();
  worker.state = WorkerState::idle;
  ++worker.jobs_done;
  if (spent(worker)) replace(worker);
}

bool Supervisor::spent(const Worker& worker) const {
  return worker.jobs_done >= options_.max_jobs || resident_bytes(worker.pid) > options_.max_rss_bytes;
}

void Supervisor::expire(TimePoint at) {
  for (Worker& worker : workers_) {
    if (worker.task && worker.task->deadline <= at) {
      worker_failed(worker, ErrorClass::deadline);
    } else if (worker.state == WorkerState::starting && worker.pid > 0 && worker.spawned + kMaxStart <= at) {
      replace(worker);
    }
  }
  while (true) {
    const auto late = std::ranges::find_if(waiting_, [at](const Task& task) { return task.deadline <= at; });
    if (late == waiting_.end()) return;
    answer(*late, ErrorClass::deadline);
    waiting_.erase(late);
  }
}

void Supervisor::answer(const Task& task, ErrorClass error) {
  JobResult result;
  result.id = task.job.id;
  result.output = task.job.output;
  result.error = error;
  send(result, UniqueFd());
}

void Supervisor::send(JobResult result, UniqueFd picture) {
  Outgoing outgoing;
  encode(result, outgoing.frame);
  outgoing.fd = std::move(picture);
  outgoing_.push_back(std::move(outgoing));
}

bool Supervisor::flush() {
  while (!outgoing_.empty()) {
    Outgoing& next = outgoing_.front();
    const int fd = next.fd.get();
    const std::span<const int> fds = next.fd ? std::span<const int>(&fd, 1) : std::span<const int>();
    const Result<std::size_t> sent =
        send_with_fds(node_.get(), std::string_view(next.frame).substr(next.sent), fds);
    if (!sent) return false;
    if (*sent == 0) return true;
    next.fd.reset();
    next.sent += *sent;
    if (next.sent == next.frame.size()) outgoing_.pop_front();
  }
  return true;
}

}  // namespace vignette::imaging
