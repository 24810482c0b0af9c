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
  std::int64_t changed_ns = 0;   // also by what leaves the bytes as they are: other rights, another name
  bool operator==(const FileMark&) const = default;

  // Whether it is the same file with the same bytes, whatever else has changed.
  bool has_bytes_of(const FileMark& other) const {
    return device == other.device && inode == other.inode && size == other.size &&
           modified_ns == other.modified_ns;
  }

  static FileMark of(const struct stat& status);
  // All zero when there is no such file, or it may not be looked at. Follows links; may block.
  static FileMark of(const std::string& path);
};

}  // namespace vignette
