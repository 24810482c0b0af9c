// The system calls of the disk tier, so that tests can put a disk in their place that fails, tears and
// forgets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace vignette::cache {

// One open file; closed when destroyed. Errors are Code::io with errno (EIO, ENOSPC, ...). Thread-safe.
class DiskFile {
 public:
  virtual ~DiskFile() = default;

  // Bytes read: fewer than asked only at the end of the file.
  virtual Result<std::size_t> pread(std::span<char> out, std::uint64_t offset) const = 0;
  // The same without waiting for the device; nullopt: some of it is not in memory, `out` holds anything.
  virtual Result<std::optional<std::size_t>> pread_nowait(std::span<char> out,
                                                          std::uint64_t offset) const = 0;
  // As pread(), but past the page cache where the file can be read so: what is kept in our own memory does
  // not take the kernel's as well, nor a copy from there. The bytes lie somewhere in `room`, which is to be
  // longer than they are by direct_slack().
  virtual Result<std::string_view> pread_direct(std::span<char> room, std::size_t bytes,
                                                std::uint64_t offset) const {
    const Result<std::size_t> count = pread(room.first(bytes), offset);
    if (!count) return std::unexpected(count.error());
    return std::string_view(room.data(), *count);
  }
  virtual std::size_t direct_slack() const { return 0; }
  // All of them or an error, after which any part of the range may have been written.
  virtual Result<void> pwrite(std::string_view bytes, std::uint64_t offset) = 0;
  // Reserves blocks for the range; the file grows over it. ENOSPC leaves what was there as it was.
  virtual Result<void> allocate(std::uint64_t offset, std::uint64_t bytes) = 0;
  virtual Result<void> truncate(std::uint64_t bytes) = 0;
  // Starts writing the range out; does not wait for it, promises nothing.
  virtual Result<void> start_writeback(std::uint64_t offset, std::uint64_t bytes) = 0;
  // Waits until the dirty pages of the range have been handed to the device (no flush of its cache).
  virtual Result<void> wait_for_writeback(std::uint64_t offset, std::uint64_t bytes) = 0;
  // fdatasync(): what was written before survives a crash.
  virtual Result<void> sync_data() = 0;
  // No read-ahead from now on, and pread_direct() tries to do what its name says.
  virtual void advise_random() = 0;
  virtual Result<std::uint64_t> size() const = 0;
  // For as long as the file is open. Code::refused: another process has it.
  virtual Result<void> lock() = 0;
};

enum class OpenMode : std::uint8_t {
  existing,  // Code::not_found when there is none
  create,    // made empty when there is none
  replace,   // emptied, or made
};

// The folder that holds one volume. Names have no slash. Thread-safe.
class DiskDirectory {
 public:
  virtual ~DiskDirectory() = default;
  virtual Result<std::unique_ptr<DiskFile>> open(std::string_view name, OpenMode mode) = 0;
  // Over what is there; survives a crash once it has returned.
  virtual Result<void> rename(std::string_view from, std::string_view to) = 0;
  // Success also when there is none.
  virtual Result<void> remove(std::string_view name) = 0;
};

// The real one: made (mode 0700) when its last component is missing; files have mode 0600.
Result<std::unique_ptr<DiskDirectory>> open_disk_directory(const std::string& path);

}  // namespace vignette::cache
