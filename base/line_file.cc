#include "base/line_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"

namespace vignette {
namespace {

std::unexpected<Error> io_error(const char* where) { return fail(Code::io, Blame::internal, where, errno); }

Result<std::size_t> write_some(int fd, std::string_view bytes) {
  while (true) {
    ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written >= 0) return static_cast<std::size_t>(written);
    if (errno == EAGAIN) return 0;
    if (errno != EINTR) return io_error("write the log");
  }
}

// Pipes, terminals, sockets: a reader that stopped must not hold the writer thread for ever. After POLLOUT a
// pipe takes PIPE_BUF bytes without waiting; a larger write could wait.
Result<std::size_t> write_when_ready(int fd, std::string_view bytes) {
  constexpr std::size_t kPieceBytes = 4096;
  constexpr int kWaitMs = 100;
  pollfd poller{fd, POLLOUT, 0};
  if (::poll(&poller, 1, kWaitMs) <= 0) return 0;
  return write_some(fd, bytes.substr(0, kPieceBytes));
}

class StandardOutput final : public LineFile {
 public:
  Result<std::size_t> write(std::string_view bytes) override {
    return write_when_ready(STDOUT_FILENO, bytes);
  }
  Result<void> reopen() override { return {}; }
};

class NamedFile final : public LineFile {
 public:
  explicit NamedFile(std::string path) : path_(std::move(path)) {}

  Result<void> reopen() override {
    // Without O_NONBLOCK a FIFO would wait here for its reader.
    UniqueFd opened(
        ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640));
    if (!opened) return io_error("open the log");
    struct stat status{};
    if (::fstat(opened.get(), &status) != 0) return io_error("stat the log");
    regular_ = S_ISREG(status.st_mode);
    file_ = std::move(opened);
    return {};
  }

  Result<std::size_t> write(std::string_view bytes) override {
    return regular_ ? write_some(file_.get(), bytes) : write_when_ready(file_.get(), bytes);
  }

 private:
  std::string path_;
  UniqueFd file_;
  bool regular_ = true;
};

}  // namespace

Result<std::unique_ptr<LineFile>> open_line_file(const std::string& target) {
  if (target == "stdout") return std::make_unique<StandardOutput>();
  auto file = std::make_unique<NamedFile>(target);
  if (Result<void> opened = file->reopen(); !opened) return std::unexpected(opened.error());
  return file;
}

}  // namespace vignette
