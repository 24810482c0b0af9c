// What tells whether a file is still the one that it was, without reading it.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace vignette {

struct FileMark {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  std::int64_t modified_ns = 0;  // since 1970
  bool operator==(const FileMark&) const = default;

  static FileMark of(const struct stat& status);
  // All zero when there is no such file, or it may not be looked at. Follows links; may block.
  static FileMark of(const std::string& path);
};

}  // namespace vignette
