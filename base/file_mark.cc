#include "base/file_mark.h"

namespace vignette {

namespace {

std::int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

}  // namespace

FileMark FileMark::of(const struct stat& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size = status.st_size,
          .modified_ns = nanoseconds(status.st_mtim),
          .changed_ns = nanoseconds(status.st_ctim)};
}

FileMark FileMark::of(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 ? of(status) : FileMark{};
}

}  // namespace vignette
