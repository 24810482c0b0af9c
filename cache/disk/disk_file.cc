#include "cache/disk/disk_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/fd.h"

namespace vignette::cache {
namespace {

std::unexpected<Error> failed(const char* where, int number = errno) {
  return fail(Code::io, Blame::internal, where, number);
}

Result<void> done_if(int result, const char* where) {
  if (result != 0) return failed(where);
  return {};
}

class RealFile final : public DiskFile {
 public:
  explicit RealFile(UniqueFd fd) : fd_(std::move(fd)) {}

  Result<std::size_t> pread(std::span<char> out, std::uint64_t offset) const override {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t count =
          ::pread(fd_.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return failed("pread");
      if (count == 0) break;
      done += static_cast<std::size_t>(count);
    }
    return done;
  }

  // The kernel gives a part when only that is resident. File systems that do not know the flag always wait.
  Result<std::optional<std::size_t>> pread_nowait(std::span<char> out, std::uint64_t offset) const override {
    const iovec piece{out.data(), out.size()};
    const ssize_t count = ::preadv2(fd_.get(), &piece, 1, static_cast<off_t>(offset), RWF_NOWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EOPNOTSUPP || errno == EINTR)) return std::nullopt;
    if (count < 0) return failed("preadv2");
    if (static_cast<std::size_t>(count) < out.size()) return std::nullopt;
    return static_cast<std::size_t>(count);
  }

  Result<void> pwrite(std::string_view bytes, std::uint64_t offset) override {
    while (!bytes.empty()) {
      const ssize_t count = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return failed("pwrite", count < 0 ? errno : ENOSPC);
      bytes.remove_prefix(static_cast<std::size_t>(count));
      offset += static_cast<std::uint64_t>(count);
    }
    return {};
  }

  // A file system without fallocate() gets a file with holes: writing into them may meet ENOSPC later.
  Result<void> allocate(std::uint64_t offset, std::uint64_t bytes) override {
    const Result<std::uint64_t> before = size();
    if (!before) return std::unexpected(before.error());
    if (::fallocate(fd_.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(bytes)) == 0) return {};
    const int number = errno;
    if (number == EOPNOTSUPP) return truncate(std::max(*before, offset + bytes));
    (void)truncate(*before);
    return failed("fallocate", number);
  }

  Result<void> truncate(std::uint64_t bytes) override {
    return done_if(::ftruncate(fd_.get(), static_cast<off_t>(bytes)), "ftruncate");
  }

  Result<void> start_writeback(std::uint64_t offset, std::uint64_t bytes) override {
    return sync_range(offset, bytes, SYNC_FILE_RANGE_WRITE);
  }
  Result<void> wait_for_writeback(std::uint64_t offset, std::uint64_t bytes) override {
    return sync_range(offset, bytes,
                      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  }
  Result<void> sync_data() override { return done_if(::fdatasync(fd_.get()), "fdatasync"); }

  void advise_random() override { (void)::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_RANDOM); }

  Result<std::uint64_t> size() const override {
    struct stat status{};
    if (::fstat(fd_.get(), &status) != 0) return failed("fstat");
    return static_cast<std::uint64_t>(status.st_size);
  }

  Result<void> lock() override {
    if (::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0) return {};
    if (errno == EWOULDBLOCK) return fail(Code::refused, Blame::internal, "flock", errno);
    return failed("flock");
  }

 private:
  Result<void> sync_range(std::uint64_t offset, std::uint64_t bytes, unsigned flags) {
    return done_if(::sync_file_range(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(bytes), flags),
                   "sync_file_range");
  }

  UniqueFd fd_;
};

class RealDirectory final : public DiskDirectory {
 public:
  explicit RealDirectory(UniqueFd fd) : fd_(std::move(fd)) {}

  Result<std::unique_ptr<DiskFile>> open(std::string_view name, OpenMode mode) override {
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    if (mode != OpenMode::existing) flags |= O_CREAT;
    if (mode == OpenMode::replace) flags |= O_TRUNC;
    UniqueFd fd(::openat(fd_.get(), std::string(name).c_str(), flags, 0600));
    if (!fd && errno == ENOENT) return fail(Code::not_found, Blame::internal, "open", ENOENT);
    if (!fd) return failed("open");
    return std::make_unique<RealFile>(std::move(fd));
  }

  Result<void> rename(std::string_view from, std::string_view to) override {
    const int result = ::renameat(fd_.get(), std::string(from).c_str(), fd_.get(), std::string(to).c_str());
    if (result != 0) return failed("rename");
    return done_if(::fsync(fd_.get()), "fsync");
  }

  Result<void> remove(std::string_view name) override {
    if (::unlinkat(fd_.get(), std::string(name).c_str(), 0) != 0 && errno != ENOENT) return failed("unlink");
    return {};
  }

 private:
  UniqueFd fd_;
};

}  // namespace

Result<std::unique_ptr<DiskDirectory>> open_disk_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return failed("mkdir");
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return failed("open");
  return std::make_unique<RealDirectory>(std::move(fd));
}

}  // namespace vignette::cache
