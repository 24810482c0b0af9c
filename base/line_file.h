// Where a LineSink's bytes go: an appended file that can be reopened by name, or standard output.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace vignette {

// Used by one thread at a time.
class LineFile {
 public:
  virtual ~LineFile() = default;
  // Writes the front of `bytes` and returns how many bytes that was; 0: no room for now, ask again. Waits
  // at most about 100 ms (for a disk: as long as the disk takes).
  virtual Result<std::size_t> write(std::string_view bytes) = 0;
  // Opens the name again (after a rotation moved the file away). On failure goes on with the old file.
  virtual Result<void> reopen() = 0;
};

// "stdout", or the path of a file, which is made (mode 0640) when it does not exist. Errors: io with errno.
Result<std::unique_ptr<LineFile>> open_line_file(const std::string& target);

}  // namespace vignette
