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

std::expected<FileCopy, std::string> copy_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return reason(errno);
  struct stat before{};
  if (::fstat(file.get(), &before) != 0) return reason(errno);
  if (!S_ISREG(before.st_mode)) return reason(S_ISDIR(before.st_mode) ? EISDIR : EINVAL);
  FileCopy copy{.memory = UniqueFd(::memfd_create("geo database", MFD_CLOEXEC)),
                .mark = FileMark::of(before)};
  if (!copy.memory) return reason(errno);
  if (auto copied = copy_bytes(file.get(), copy.memory.get()); !copied) {
    return std::unexpected(std::move(copied.error()));
  }
  struct stat after{};
  if (::fstat(file.get(), &after) != 0) return reason(errno);
  if (!FileMark::of(after).has_bytes_of(copy.mark))
    return std::unexpected<std::string>("it is being written");
  return copy;
}

}  // namespace vignette::geo
