// The bytes of a file in memory of our own.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "base/fd.h"

namespace vignette::geo {

// What tells that a file is another one, or has other bytes. Default: there is no file.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t bytes = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;

  bool operator==(const FileStamp&) const = default;
};

// Of the file at `path` now; the default when it cannot be asked.
FileStamp stamp_of(const std::string& path);

struct FileCopy {
  UniqueFd memory;  // a memfd
  FileStamp stamp;  // of the file
};

// Reads the whole file, so it may block. What happens to the file afterwards does not matter to the copy; a
// file that is written to meanwhile is refused. The error is a reason: "No such file or directory".
std::expected<FileCopy, std::string> copy_file(const std::string& path);

}  // namespace vignette::geo
