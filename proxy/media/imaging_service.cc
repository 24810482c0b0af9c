#include "proxy/media/imaging_service.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "imaging/geometry.h"
#include "imaging/memfd.h"
#include "net/signal.h"
#include "net/stream.h"

namespace vignette::proxy {
namespace {

using imaging::ErrorClass;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kProgramSocket = 3;
constexpr int kAboveProgramSocket = 10;  // a dup2 onto itself would keep close-on-exec
constexpr seconds kHelloWait{60};        // libvips and the first workers; generous for loaded machines
constexpr seconds kTick{1};              // how often the program is looked after
constexpr seconds kOverdue{5};           // past a job's deadline the program is stuck
constexpr milliseconds kFirstPause{100};
constexpr milliseconds kLongestPause{10'000};
constexpr seconds kSteady{10};  // who lived this long is started again after the first pause
constexpr milliseconds kLeaveGrace{1000};
constexpr milliseconds kReapPoll{10};
// The program's deadline is this much before the caller's, so that its answer comes first.
constexpr milliseconds kBackstop{50};
constexpr milliseconds kFirstGuess{200};  // of how long a job takes, until some have been seen
constexpr std::uint64_t kInfoBytes = std::uint64_t{1} << 20;
constexpr std::size_t kMaxSuspects = 1024;
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

struct Outgoing {
  std::string frame;
  UniqueFd fd;
};

std::uint64_t cost_of(const ImageJob& job) {
  if (job.kind == imaging::Job::Kind::info) return kInfoBytes;
  const imaging::Geometry geometry = imaging::plan(job.transform, std::max(1U, job.header.shown_width()),
                                                   std::max(1U, job.header.shown_height()));
  return imaging::estimate_bytes(job.header, geometry.output_width, geometry.output_height);
}

}  // namespace

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
  void answer(Ticket& ticket, ErrorClass error);
  void release(const Ticket& ticket);
  void lose_session();
  void show_queue() { queue_length.set(static_cast<std::int64_t>(waiting.size())); }

  bool comes_too_late(const Ticket& newcomer) const;
  void learn(const Ticket& ticket, ErrorClass error);
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

  // Main loop only.
  std::shared_ptr<Session> session;
  imaging::Hello hello;  // lanes 0: not ready
  std::deque<std::unique_ptr<Ticket>> waiting;
  std::uint64_t waiting_bytes = 0;
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

ImagingService::Core::Core(net::Worker& worker, Options chosen, Logger& logger, Metrics& metrics)
    : loop(worker),
      mailbox(worker.mailbox()),
      options(std::move(chosen)),
      log(logger),
      durations(metrics.histogram("vignette_image_job_duration_seconds", "Image jobs, waiting included.")),
      queue_length(metrics.gauge("vignette_image_jobs_waiting", "Image jobs that wait for a lane.")),
      at_work_now(metrics.gauge("vignette_image_jobs_running", "Image jobs at work.")),
      restarts(
          metrics.counter("vignette_imaging_restarts_total", "Times vignette-imaging was started again.")) {
  for (std::size_t i = 0; i < results.size(); ++i) {
    results[i] = &metrics.counter("vignette_image_jobs_total", "Image jobs by how they ended.",
                                  {{"result", imaging::to_string(static_cast<ErrorClass>(i))}});
  }
}

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

// --- jobs ---

void ImagingService::Core::arrive(std::unique_ptr<Ticket> ticket) {
  ticket->arrived = loop.now();
  ticket->cost = cost_of(ticket->job);
  ticket->heavy = ticket->job.header.heavy();
  if (is_quarantined(ticket->job.quarantine_key)) return answer(*ticket, ErrorClass::crashed);
  if (ticket->cost > options.budget_bytes) return answer(*ticket, ErrorClass::too_large);
  if (comes_too_late(*ticket)) return answer(*ticket, ErrorClass::busy);
  waiting_bytes += ticket->job.source_bytes;
  waiting.push_back(std::move(ticket));
  dispatch();
  // Only the newcomer can be one too many, and then it is the last.
  if (waiting.size() > options.max_waiting || (!waiting.empty() && waiting_bytes > kMaxWaitingSourceBytes)) {
    std::unique_ptr<Ticket> last = std::move(waiting.back());
    waiting.pop_back();
    waiting_bytes -= last->job.source_bytes;
    answer(*last, ErrorClass::busy);
  }
  show_queue();
}

// Whether it would still wait, or not be done, when its time is over: it is told now, and those before it get
// the lanes. Who finds nobody waiting is always let in, so that the usual times are learned anew.
bool ImagingService::Core::comes_too_late(const Ticket& newcomer) const {
  if (waiting.empty() || hello.lanes == 0) return false;
  const auto heavy = std::ranges::count_if(waiting, [](const auto& ticket) { return ticket->heavy; });
  const auto light = static_cast<std::ptrdiff_t>(waiting.size()) - heavy;
  Duration wait = (usual[0] * light + usual[1] * heavy) / hello.lanes;
  if (newcomer.heavy) wait = std::max<Duration>(wait, usual[1] * heavy / hello.heavy_lanes);
  return newcomer.arrived + wait + usual[newcomer.heavy ? 1 : 0] > newcomer.deadline;
}

// A moving average of how long jobs take; one that was stopped took at least as long as it had.
void ImagingService::Core::learn(const Ticket& ticket, ErrorClass error) {
  Duration& average = usual[ticket.heavy ? 1 : 0];
  const Duration took = loop.now() - ticket.started;
  if (error == ErrorClass::none || (error == ErrorClass::deadline && took > average))
    average += (took - average) / 8;
}

void ImagingService::Core::give_up(std::uint64_t id) {
  const auto queued = std::ranges::find_if(waiting, [id](const auto& ticket) { return ticket->id == id; });
  if (queued != waiting.end()) {
    const std::unique_ptr<Ticket> ticket = std::move(*queued);
    waiting.erase(queued);
    waiting_bytes -= ticket->job.source_bytes;
    answer(*ticket, ticket->deadline <= loop.now() ? ErrorClass::deadline : ErrorClass::cancelled);
    dispatch();  // it may have kept others from their turn
    show_queue();
    return;
  }
  const auto working = at_work.find(id);
  if (working == at_work.end()) return;
  // Cancelling costs a worker, so what is about half done is finished.
  const Ticket& ticket = *working->second;
  if ((loop.now() - ticket.started) * 2 >= usual[ticket.heavy ? 1 : 0]) return;
  std::string frame;
  imaging::encode(imaging::Cancel{id}, frame);
  send(std::move(frame), UniqueFd());
}

void ImagingService::Core::dispatch() {
  if (!session) return;
  for (std::size_t i = 0; i < waiting.size() && at_work.size() < hello.lanes;) {
    const Ticket& next = *waiting[i];
    if (next.heavy && heavy_at_work >= hello.heavy_lanes) {
      ++i;
      continue;
    }
    if (used_bytes + next.cost > options.budget_bytes) return;
    std::unique_ptr<Ticket> ticket = std::move(waiting[i]);
    waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(i));
    waiting_bytes -= ticket->job.source_bytes;
    begin(std::move(ticket));
  }
}

void ImagingService::Core::begin(std::unique_ptr<Ticket> ticket) {
  const TimePoint now = loop.now();
  const auto left = std::chrono::duration_cast<milliseconds>(
      std::min<Duration>(ticket->deadline - now, options.deadline) - kBackstop);
  // What cannot be done in time any more would only take a lane from what can.
  const bool hopeless = ticket->arrived < now && left < usual[ticket->heavy ? 1 : 0] / 2;
  if (left < milliseconds(1) || hopeless) return answer(*ticket, ErrorClass::deadline);
  imaging::Job job;
  job.id = ticket->id;
  job.kind = ticket->job.kind;
  job.source = ticket->job.header.format;
  job.output = ticket->job.output;
  job.transform = ticket->job.transform;
  job.limits.max_pixels = options.max_pixels;
  job.limits.max_source_bytes = options.max_source_bytes;
  job.deadline_ms = static_cast<std::uint32_t>(left.count());
  job.source_bytes = ticket->job.source_bytes;
  job.fault = ticket->job.fault;
  std::string frame;
  imaging::encode(job, frame);
  send(std::move(frame), std::move(ticket->job.source));
  ticket->started = now;
  ticket->due = now + left;
  used_bytes += ticket->cost;
  heavy_at_work += ticket->heavy ? 1 : 0;
  at_work.emplace(ticket->id, std::move(ticket));
  at_work_now.set(static_cast<std::int64_t>(at_work.size()));
}

void ImagingService::Core::send(std::string frame, UniqueFd fd) {
  if (!session) return;
  session->outbox.push_back({std::move(frame), std::move(fd)});
  session->has_output.notify_all();
}

// False: the program talks nonsense.
bool ImagingService::Core::receive(imaging::Received received) {
  if (const auto* first = std::get_if<imaging::Hello>(&received.message)) {
    if (hello.lanes != 0) return false;
    hello = *first;
    log.info("imaging: {} lanes, {} of them for heavy pictures", hello.lanes, hello.heavy_lanes);
    dispatch();
    show_queue();
    return true;
  }
  auto* result = std::get_if<imaging::JobResult>(&received.message);
  return result != nullptr && finish(*result, std::move(received.fd));
}

bool ImagingService::Core::finish(imaging::JobResult result, UniqueFd picture) {
  const auto found = at_work.find(result.id);
  if (found == at_work.end()) return false;
  const std::unique_ptr<Ticket> ticket = std::move(found->second);
  at_work.erase(found);
  release(*ticket);
  if (result.error == ErrorClass::crashed) {
    note_crash(ticket->job.quarantine_key);
    log.warn("imaging: a worker died on a {} of {} bytes", imaging::to_string(ticket->job.header.format),
             ticket->job.source_bytes);
  }
  learn(*ticket, result.error);
  if (result.error == ErrorClass::none) {
    const bool wants_picture = ticket->job.kind == imaging::Job::Kind::transform;
    const bool good =
        !wants_picture || (picture && imaging::check_sealed(picture.get(), result.output_bytes));
    if (!good) result.error = ErrorClass::internal;
  }
  answer(*ticket, result, std::move(picture));
  dispatch();
  show_queue();
  return true;
}

void ImagingService::Core::release(const Ticket& ticket) {
  used_bytes -= ticket.cost;
  heavy_at_work -= ticket.heavy ? 1 : 0;
  at_work_now.set(static_cast<std::int64_t>(at_work.size()));
}

void ImagingService::Core::answer(Ticket& ticket, ErrorClass error) {
  imaging::JobResult result;
  result.id = ticket.id;
  result.output = ticket.job.output;
  result.error = error;
  answer(ticket, result, UniqueFd());
}

void ImagingService::Core::answer(Ticket& ticket, imaging::JobResult result, UniqueFd picture) {
  results[static_cast<std::size_t>(result.error)]->add(kNoWorker);
  durations.record(kNoWorker, loop.now() - ticket.arrived);
  ticket.caller->post(
      [reply = std::move(ticket.reply), answer = ImageJobResult{result, std::move(picture)}]() mutable {
        reply->result = std::move(answer);
        reply->done.notify_all();
      });
}

void ImagingService::Core::lose_session() {
  session->over = true;
  session->stream.close();
  session->has_output.notify_all();
  session.reset();
  hello = {};
  auto lost = std::move(at_work);
  at_work.clear();
  for (auto& [id, ticket] : lost) {
    release(*ticket);
    answer(*ticket, ErrorClass::crashed);
  }
}

// --- quarantine ---

bool ImagingService::Core::is_quarantined(std::uint64_t key) {
  const auto found = suspects.find(key);
  if (found == suspects.end()) return false;
  if (found->second.until <= loop.now()) {
    suspects.erase(found);
    return false;
  }
  return found->second.crashes >= kCrashesToQuarantine;
}

void ImagingService::Core::note_crash(std::uint64_t key) {
  if (suspects.size() >= kMaxSuspects) {
    std::erase_if(suspects, [now = loop.now()](const auto& entry) { return entry.second.until <= now; });
  }
  if (suspects.size() >= kMaxSuspects && !suspects.contains(key)) return;
  Suspect& suspect = suspects[key];
  ++suspect.crashes;
  suspect.until = loop.now() + kQuarantine;
  if (suspect.crashes == kCrashesToQuarantine) {
    log.warn("imaging: a picture killed {} workers; refused for {} s", suspect.crashes, kQuarantine.count());
  }
}

bool ImagingService::Core::stuck() const {
  const TimePoint now = loop.now();
  if (hello.lanes == 0) return session->spawned + kHelloWait <= now;
  return std::ranges::any_of(at_work,
                             [now](const auto& entry) { return entry.second->due + kOverdue <= now; });
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

std::size_t ImagingService::waiting() const { return static_cast<std::size_t>(core_->queue_length.value()); }
int ImagingService::program_pid() const { return core_->pid.load(); }

}  // namespace vignette::proxy
