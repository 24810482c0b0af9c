#include "imaging/worker/worker.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

#include "imaging/engine/engine.h"
#include "imaging/memfd.h"
#include "imaging/protocol.h"
#include "imaging/worker/sandbox.h"
#include "imaging/worker/socket.h"

namespace vignette::imaging {
namespace {

constexpr int kExitClosed = 0;
constexpr int kExitNotWarm = 3;
constexpr int kExitNoSandbox = 4;
constexpr int kExitProtocol = 5;
constexpr int kPriority = 5;                 // behind the node's own threads
constexpr std::uint32_t kThreadsAtWork = 4;  // processor seconds run that much faster than the clock

// Misbehaves as asked. What the sandbox or the supervisor does not stop returns, and the job reports
// `internal`.
void misbehave(Fault fault) {
  switch (fault) {
    case Fault::none:
      return;
    case Fault::segv:
      std::raise(SIGSEGV);
      return;
    case Fault::hang:
      while (true) usleep(1000);
    case Fault::open_file:
      (void)::open("/etc/hostname", O_RDONLY | O_CLOEXEC);
      return;
    case Fault::open_socket:
      (void)::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      return;
    case Fault::exec:
      ::execl("/bin/true", "true", nullptr);
      return;
    case Fault::leak: {
      static std::string kept;
      kept.assign(std::size_t{450} << 20, 'x');
      return;
    }
  }
}

bool write_picture(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

JobResult do_job(const Job& job, int source_fd, int picture_fd) {
  JobResult result;
  result.id = job.id;
  result.output = job.output;
  result.error = ErrorClass::internal;
  allow_cpu_seconds(kThreadsAtWork * (job.deadline_ms / 1000 + 1));
  if (job.fault != Fault::none) {
    misbehave(job.fault);
    return result;
  }
  if (!check_sealed(source_fd, job.source_bytes)) return result;
  const Result<Mapping> source = Mapping::map(source_fd, job.source_bytes);
  if (!source) return result;
  const EngineResult made = engine_run(job, source->view());
  result.error = made.error;
  result.timings = made.timings;
  if (made.error != ErrorClass::none) return result;
  result.info = made.info;
  const std::string_view picture = made.picture.view();
  if (job.kind == Job::Kind::info) return result;
  if (picture.size() > kMaxResultBytes) {
    result.error = ErrorClass::too_large;
  } else if (picture.empty() || !write_picture(picture_fd, picture)) {
    result.error = ErrorClass::internal;
  } else {
    result.width = made.width;
    result.height = made.height;
    result.output_bytes = picture.size();
  }
  return result;
}

template <typename Reply>
bool reply(int socket, const Reply& message) {
  std::string frame;
  encode(message, frame);
  const Result<std::size_t> sent = send_with_fds(socket, frame, {});
  return sent && *sent == frame.size();
}

void serve_one(int socket) {
  std::array<char, kFrameHeaderBytes + kMaxFrameBytes> buffer;
  Result<std::optional<Packet>> packet = receive_with_fds(socket, buffer);
  if (!packet || !*packet) _exit(kExitProtocol);
  if ((*packet)->size == 0) _exit(kExitClosed);
  const std::string_view frame(buffer.data(), (*packet)->size);
  if (frame.size() < kFrameHeaderBytes || (*packet)->fds.size() != 2) _exit(kExitProtocol);
  const Result<Message> message =
      decode_body(static_cast<std::uint8_t>(frame[5]), frame.substr(kFrameHeaderBytes));
  if (!message || !std::holds_alternative<Job>(*message)) _exit(kExitProtocol);
  const JobResult result = do_job(std::get<Job>(*message), (*packet)->fds[0].get(), (*packet)->fds[1].get());
  (*packet)->fds.clear();  // an idle worker holds nothing of the job before
  if (!reply(socket, result)) _exit(kExitProtocol);
}

}  // namespace

void worker_main(int socket) {
  setpriority(PRIO_PROCESS, 0, kPriority);
  if (!engine_warm()) _exit(kExitNotWarm);
  if (!close_sandbox(socket)) _exit(kExitNoSandbox);
  if (!reply(socket, Hello{1, 1})) _exit(kExitProtocol);
  while (true) serve_one(socket);
}

}  // namespace vignette::imaging
