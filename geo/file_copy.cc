#include "geo/file_copy.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace vignette::geo {
namespace {

constexpr std::size_t kStepBytes = std::size_t{1} << 20;

std::int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

FileStamp stamp_from(const struct stat& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .bytes = status.st_size,
          .modified_ns = nanoseconds(status.st_mtim),
          .changed_ns = nanoseconds(status.st_ctim)};
}

std::unexpected<std::string> reason(int number) {
  return std::unexpected<std::string>(std::strerror(number));
}

std::expected<void, std::string> copy_bytes(int from, int to) {
  for (;;) {
    const ssize_t done = ::sendfile(to, from, nullptr, kStepBytes);
    if (done == 0) return {};
    if (done < 0 && errno != EINTR) return reason(errno);
  }
}

}  // namespace

FileStamp stamp_of(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 ? stamp_from(status) : FileStamp{};
}

std::expected<FileCopy, std::string> copy_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return reason(errno);
  struct stat before{};
  if (::fstat(file.get(), &before) != 0) return reason(errno);
  if (!S_ISREG(before.st_mode)) return reason(S_ISDIR(before.st_mode) ? EISDIR : EINVAL);
  FileCopy copy{.memory = UniqueFd(::memfd_create("geo database", MFD_CLOEXEC)), .stamp = stamp_from(before)};
  if (!copy.memory) return reason(errno);
  if (auto copied = copy_bytes(file.get(), copy.memory.get()); !copied) {
    return std::unexpected(std::move(copied.error()));
  }
  struct stat after{};
  if (::fstat(file.get(), &after) != 0) return reason(errno);
  const FileStamp now = stamp_from(after);
  const bool is_still = now.bytes == copy.stamp.bytes && now.modified_ns == copy.stamp.modified_ns;
  if (!is_still) return std::unexpected<std::string>("it is being written");
  return copy;
}

}  // namespace vignette::geo
