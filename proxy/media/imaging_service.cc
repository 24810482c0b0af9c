#include "proxy/media/imaging_service.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "proxy/media/imaging_core.h"

namespace vignette::proxy {
namespace {

using imaging::ErrorClass;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kProgramSocket = 3;
constexpr int kAboveProgramSocket = 10;  // a dup2 onto itself would keep close-on-exec
constexpr seconds kTick{1};              // how often the program is looked after
constexpr milliseconds kFirstPause{100};
constexpr milliseconds kLongestPause{10'000};
constexpr seconds kSteady{10};  // who lived this long is started again after the first pause
constexpr milliseconds kLeaveGrace{1000};
constexpr milliseconds kReapPoll{10};
constexpr std::size_t kReadBytes = 16 * 1024;

// What libraries and sanitizers of the program need; nothing else of our environment reaches it.
constexpr const char* kEnvironment[] = {"LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
                                        "TSAN_OPTIONS"};

std::vector<std::string> environment() {
  std::vector<std::string> kept;
  for (const char* name : kEnvironment) {
    if (const char* value = std::getenv(name)) kept.push_back(fmt::format("{}={}", name, value));
  }
  return kept;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// The program with the null device as input and output, our standard error, its socket and nothing else.
int spawn_program(std::vector<std::string> arguments, int socket, pid_t& pid) {
  std::vector<std::string> variables = environment();
  std::vector<char*> argv = pointers(arguments);
  std::vector<char*> envp = pointers(variables);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, socket, kProgramSocket);
  posix_spawn_file_actions_addclosefrom_np(&actions, kProgramSocket + 1);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int error = ::posix_spawn(&pid, argv.front(), &actions, &attributes, argv.data(), envp.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

bool has_left(pid_t pid) {
  const pid_t got = ::waitpid(pid, nullptr, WNOHANG);
  return got == pid || (got < 0 && errno == ECHILD);
}

void kill_and_reap(pid_t pid) {
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

// Blocks up to the grace time.
void wait_or_kill(pid_t pid) {
  const UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  pollfd left{handle.get(), POLLIN, 0};
  if (handle) ::poll(&left, 1, static_cast<int>(kLeaveGrace.count()));
  if (!has_left(pid)) kill_and_reap(pid);
}

}  // namespace

std::expected<void, std::string> ImagingService::Core::launch() {
  if (::access(options.program.c_str(), X_OK) != 0) {
    return std::unexpected(fmt::format("{}: {}", options.program, std::strerror(errno)));
  }
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return std::unexpected(fmt::format("socketpair: {}", std::strerror(errno)));
  }
  UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  theirs = UniqueFd(::fcntl(theirs.get(), F_DUPFD_CLOEXEC, kAboveProgramSocket));
  const std::uint32_t lanes =
      std::clamp(options.workers != 0 ? options.workers : std::thread::hardware_concurrency(), 1U, 512U);
  std::vector<std::string> arguments{options.program, "--lanes", std::to_string(lanes), "--heavy-lanes",
                                     std::to_string(std::max(1U, lanes / 2))};
  if (options.test_faults) arguments.emplace_back("--test-faults");
  auto fresh = std::make_shared<Session>();
  auto stream = net::Stream::adopt(loop, std::move(ours));
  if (!stream) return std::unexpected("socket: " + vignette::explain(stream.error()));
  fresh->stream = std::move(*stream);
  if (const int error = spawn_program(std::move(arguments), theirs.get(), fresh->pid); error != 0) {
    return std::unexpected(fmt::format("{}: {}", options.program, std::strerror(error)));
  }
  fresh->spawned = loop.clock().now();
  pid = fresh->pid;
  session = std::move(fresh);
  return {};
}

// --- the program ---

net::Task<void> ImagingService::send_frames(std::shared_ptr<Core> core, std::shared_ptr<Session> session) {
  while (!session->over) {
    if (session->outbox.empty()) {
      auto woken = co_await session->has_output.wait();
      if (!woken) co_return;
      continue;
    }
    const Outgoing next = std::move(session->outbox.front());
    session->outbox.pop_front();
    const int fd = next.fd.get();
    const std::span<const int> fds = next.fd ? std::span<const int>(&fd, 1) : std::span<const int>();
    auto sent = co_await session->stream.send_with_fds(next.frame, fds, core->loop.now() + kOverdue);
    if (!sent) {
      if (!session->over && session->pid > 0) ::kill(session->pid, SIGKILL);  // the reader sees its end
      co_return;
    }
  }
}

const char* ImagingService::explain(Ended ended) {
  switch (ended) {
    case Ended::cancelled:
      return "cancelled";
    case Ended::died:
      return "it ended";
    case Ended::stuck:
      return "it does not answer";
    case Ended::nonsense:
      return "it sent nonsense";
  }
  return "";
}

// Until the session is over, whichever way.
net::Task<ImagingService::Ended> ImagingService::receive_frames(std::shared_ptr<Core> core,
                                                                std::shared_ptr<Session> session) {
  std::vector<UniqueFd> fds;
  std::vector<char> buffer(kReadBytes);
  for (;;) {
    auto got = co_await session->stream.recv_with_fds(buffer, fds, core->loop.now() + kTick);
    if (!got && got.error().code == Code::timeout) {
      if (core->stuck()) co_return Ended::stuck;
      continue;
    }
    if (!got && got.error().code == Code::cancelled) co_return Ended::cancelled;
    if (!got || *got == 0) co_return Ended::died;
    for (UniqueFd& fd : fds) session->reader.feed_fd(std::move(fd));
    fds.clear();
    session->reader.feed(std::string_view(buffer.data(), *got));
    for (;;) {
      Result<std::optional<imaging::Received>> received = session->reader.next();
      if (received && !*received) break;
      if (!received || !core->receive(std::move(**received))) co_return Ended::nonsense;
    }
  }
}

namespace {

// Leaves the loop free while the program has its grace time.
net::Task<bool> reap(net::Worker& loop, pid_t pid, Duration grace) {
  const TimePoint last = loop.now() + grace;
  while (!has_left(pid)) {
    if (loop.now() >= last) {
      kill_and_reap(pid);
      break;
    }
    auto slept = co_await net::sleep_for(kReapPoll);
    if (!slept) co_return false;
  }
  co_return true;
}

}  // namespace

net::Task<void> ImagingService::supervise(std::shared_ptr<Core> core) {
  Duration pause = kFirstPause;
  for (;;) {
    if (const std::shared_ptr<Session> session = core->session) {
      core->loop.spawn_named("imaging send", send_frames, core, session);
      auto ended = co_await receive_frames(core, session);
      if (ended == Ended::cancelled) co_return;
      if (core->loop.now() - session->spawned >= kSteady) pause = kFirstPause;
      core->log.error("imaging: {}; starting it again in {} ms", explain(ended),
                      std::chrono::duration_cast<milliseconds>(pause).count());
      core->lose_session();
      auto reaped =
          co_await reap(core->loop, session->pid, ended == Ended::died ? Duration(kLeaveGrace) : Duration(0));
      if (!reaped) co_return;
      core->pid = 0;
    }
    auto slept = co_await net::sleep_for(pause);
    if (!slept) co_return;
    pause = std::min<Duration>(pause * 2, kLongestPause);
    core->restarts.add(kNoWorker);
    auto launched = core->launch();
    if (!launched) core->log.error("imaging: {}", launched.error());
  }
}

// --- the service ---

ImagingService::ImagingService(net::Worker& loop, Options options, Logger& log, Metrics& metrics)
    : core_(std::make_shared<Core>(loop, std::move(options), log, metrics)) {}

ImagingService::~ImagingService() {
  for (const std::unique_ptr<Ticket>& ticket : std::exchange(core_->waiting, {})) {
    core_->answer(*ticket, ErrorClass::cancelled);
  }
  if (core_->session) core_->lose_session();
  if (const int pid = core_->pid.exchange(0); pid > 0) wait_or_kill(pid);
}

std::expected<void, std::string> ImagingService::start() {
  auto launched = core_->launch();
  if (launched) core_->loop.spawn_named("imaging", supervise, core_);
  return launched;
}

// Tells the main loop when a caller is gone without its result.
class ImagingService::Departure {
 public:
  Departure(std::shared_ptr<Core> core, std::uint64_t id) : core_(std::move(core)), id_(id) {}
  Departure(const Departure&) = delete;
  Departure& operator=(const Departure&) = delete;
  ~Departure() {
    if (!core_) return;
    const std::shared_ptr<net::Mailbox> mailbox = core_->mailbox;
    mailbox->post([core = std::move(core_), id = id_] { core->give_up(id); });
  }
  void has_result() { core_.reset(); }

 private:
  std::shared_ptr<Core> core_;
  std::uint64_t id_;
};

net::Task<Result<ImageJobResult>> ImagingService::run(net::Worker& caller, ImageJob job, TimePoint deadline) {
  auto reply = std::make_shared<Reply>();
  auto ticket = std::make_unique<Ticket>();
  ticket->id = core_->next_id.fetch_add(1, std::memory_order_relaxed);
  ticket->job = std::move(job);
  ticket->deadline = deadline;
  ticket->reply = reply;
  ticket->caller = caller.mailbox();
  Departure departure(core_, ticket->id);
  core_->mailbox->post(
      [core = core_, ticket = std::move(ticket)]() mutable { core->arrive(std::move(ticket)); });
  while (!reply->result) {
    auto woken = co_await reply->done.wait(deadline);
    if (woken || reply->result) continue;
    if (woken.error().code != Code::timeout) co_return std::unexpected(woken.error());
    ImageJobResult late;
    late.result.error = ErrorClass::deadline;
    co_return late;
  }
  departure.has_result();
  co_return std::move(*reply->result);
}

const ImagingService::Options& ImagingService::options() const { return core_->options; }

imaging::Limits ImagingService::limits() const {
  imaging::Limits limits;
  limits.max_pixels = core_->options.max_pixels;
  limits.max_source_bytes = core_->options.max_source_bytes;
  return limits;
}

SourceBudget::Permit ImagingService::admit(std::uint64_t source_bytes) {
  SourceBudget::Permit permit = core_->sources.take(source_bytes);
  if (!permit) core_->results[static_cast<std::size_t>(ErrorClass::busy)]->add(kNoWorker);
  return permit;
}

std::uint64_t ImagingService::source_bytes() const { return core_->sources.held_bytes(); }
std::size_t ImagingService::waiting() const { return static_cast<std::size_t>(core_->queue_length.value()); }
int ImagingService::program_pid() const { return core_->pid.load(); }

}  // namespace vignette::proxy
