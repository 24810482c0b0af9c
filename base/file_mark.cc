#include "base/file_mark.h"

namespace vignette {

FileMark FileMark::of(const struct stat& status) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  return {status.st_dev, status.st_ino, status.st_size,
          status.st_mtim.tv_sec * kSecond + status.st_mtim.tv_nsec};
}

FileMark FileMark::of(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 ? of(status) : FileMark{};
}

}  // namespace vignette
