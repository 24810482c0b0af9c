#include "net/key_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/fd.h"

namespace vignette::net {
namespace {

constexpr std::size_t kMaxKeyBytes = std::size_t{1} << 20;

std::unexpected<std::string> reason_of(int sys_errno) {
  return std::unexpected<std::string>(std::strerror(sys_errno));
}

std::expected<std::string, std::string> read_to_end(int fd) {
  std::string bytes;
  char piece[4096];
  for (;;) {
    const ssize_t got = ::read(fd, piece, sizeof piece);
    if (got == 0) return bytes;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return reason_of(errno);
    bytes.append(piece, static_cast<std::size_t>(got));
    if (bytes.size() > kMaxKeyBytes) return std::unexpected("larger than 1 MiB");
  }
}

}  // namespace

std::expected<std::string, std::string> KeyFiles::read(const std::string& path) {
  std::lock_guard lock(mutex_);
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && errno == EACCES) return recall(path);
  struct stat status{};
  if (!file || ::fstat(file.get(), &status) != 0) return reason_of(errno);
  auto bytes = read_to_end(file.get());
  if (bytes) known_[path] = {FileMark::of(status), *bytes};
  return bytes;
}

std::expected<std::string, std::string> KeyFiles::recall(const std::string& path) {
  const auto found = known_.find(path);
  struct stat status{};
  // Who may not even look cannot know that it is unchanged.
  if (found == known_.end() || ::stat(path.c_str(), &status) != 0) return reason_of(EACCES);
  const Known& was = found->second;
  if (!was.mark.has_bytes_of(FileMark::of(status)))
    return std::unexpected("it has changed, and this process may not read it any more");
  kept_.insert(path);
  return was.bytes;
}

std::set<std::string> KeyFiles::take_kept() {
  std::lock_guard lock(mutex_);
  return std::exchange(kept_, {});
}

}  // namespace vignette::net
