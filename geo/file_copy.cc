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
constexpr off_t kMostBytes = off_t{2} << 30;  // the largest databases on sale have a fifth of it

std::unexpected<std::string> reason(int number) {
  return std::unexpected<std::string>(std::strerror(number));
}

std::unexpected<std::string> reason(const char* text) { return std::unexpected<std::string>(text); }

std::expected<void, std::string> copy_bytes(int from, int to) {
  for (off_t copied = 0; copied <= kMostBytes;) {
    const ssize_t done = ::sendfile(to, from, nullptr, kStepBytes);
    if (done == 0) return {};
    if (done < 0 && errno != EINTR) return reason(errno);
    if (done > 0) copied += done;
  }
  return reason("it is longer than 2 GiB");
}

}  // namespace

std::expected<FileCopy, std::string> copy_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return reason(errno);
  struct stat before{};
  if (::fstat(file.get(), &before) != 0) return reason(errno);
  if (S_ISDIR(before.st_mode)) return reason(EISDIR);
  if (!S_ISREG(before.st_mode)) return reason("it is not a regular file");
  if (before.st_size == 0) return reason("it is empty");
  FileCopy copy{.memory = UniqueFd(::memfd_create("geo database", MFD_CLOEXEC)),
                .mark = FileMark::of(before)};
  if (!copy.memory) return reason(errno);
  if (auto copied = copy_bytes(file.get(), copy.memory.get()); !copied) {
    return std::unexpected(std::move(copied.error()));
  }
  struct stat after{};
  if (::fstat(file.get(), &after) != 0) return reason(errno);
  if (!FileMark::of(after).has_bytes_of(copy.mark)) return reason("it is being written");
  return copy;
}

}  // namespace vignette::geo
