// The bytes of a file in memory of our own.
#pragma once

#include <expected>
#include <string>

#include "base/fd.h"
#include "base/file_mark.h"

namespace vignette::geo {

struct FileCopy {
  UniqueFd memory;  // a memfd
  FileMark mark;    // of the file
};

// Reads the whole file, so it may block. What happens to the file afterwards does not matter to the copy; a
// file that is written to meanwhile is refused. The error is a reason: "No such file or directory".
std::expected<FileCopy, std::string> copy_file(const std::string& path);

}  // namespace vignette::geo
