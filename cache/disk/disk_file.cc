#include "cache/disk/disk_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
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

// cachestat(2), which the headers of older systems do not name: how many of a range's pages are in memory.
struct CacheRange {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};
struct CacheCounts {
  std::uint64_t resident = 0;
  std::uint64_t dirty = 0;
  std::uint64_t in_writeback = 0;
  std::uint64_t evicted = 0;
  std::uint64_t recently_evicted = 0;
};
#ifdef SYS_cachestat
constexpr long kCachestat = SYS_cachestat;
#else
constexpr long kCachestat = 451;
#endif

std::optional<bool> is_resident(int descriptor, std::uint64_t offset, std::size_t bytes) {
  static const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const CacheRange range{offset, bytes};
  CacheCounts counts;
  if (::syscall(kCachestat, descriptor, &range, &counts, 0U) != 0) return std::nullopt;
  return counts.resident == (offset + bytes + page_bytes - 1) / page_bytes - offset / page_bytes;
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

  // The kernel gives a part when only that is resident, and begins to read the rest, which is of no use to
  // who goes on with pread_direct(). File systems that do not know the flag always wait.
  Result<std::optional<std::size_t>> pread_nowait(std::span<char> out, std::uint64_t offset) const override {
    if (direct_ && is_resident(fd_.get(), offset, out.size()) == false) return std::nullopt;
    const iovec piece{out.data(), out.size()};
    const ssize_t count = ::preadv2(fd_.get(), &piece, 1, static_cast<off_t>(offset), RWF_NOWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EOPNOTSUPP || errno == EINTR)) return std::nullopt;
    if (count < 0) return failed("preadv2");
    if (static_cast<std::size_t>(count) < out.size()) return std::nullopt;
    return static_cast<std::size_t>(count);
  }

  // Whole blocks of the device around what is asked for, to where it can put them.
  Result<std::string_view> pread_direct(std::span<char> room, std::size_t bytes,
                                        std::uint64_t offset) const override {
    void* at = room.data();
    std::size_t space = room.size();
    const std::uint64_t begin = offset / block_ * block_;
    const std::uint64_t length = (offset + bytes + block_ - 1) / block_ * block_ - begin;
    if (!direct_ || !std::align(alignment_, length, at, space))
      return DiskFile::pread_direct(room, bytes, offset);
    ssize_t count;
    do {
      count = ::pread(direct_.get(), at, length, static_cast<off_t>(begin));
    } while (count < 0 && errno == EINTR);
    if (count < 0 && errno == EIO) return failed("pread");
    if (count < 0) return DiskFile::pread_direct(room, bytes, offset);
    const auto skipped = static_cast<std::size_t>(offset - begin);
    const std::string_view got(static_cast<const char*>(at), static_cast<std::size_t>(count));
    if (got.size() < skipped + bytes) return DiskFile::pread_direct(room, bytes, offset);  // perhaps the end
    return got.substr(skipped, bytes);
  }

  std::size_t direct_slack() const override { return direct_ ? 2 * block_ + alignment_ : 0; }

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

  void advise_random() override {
    (void)::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_RANDOM);
    struct statx status{};
    const bool is_known = ::statx(fd_.get(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
                          (status.stx_mask & STATX_DIOALIGN) != 0 && status.stx_dio_offset_align != 0 &&
                          status.stx_dio_mem_align != 0;
    // Without knowing what is resident, what a read without waiting has begun would be read a second time.
    if (!is_known || !is_resident(fd_.get(), 0, 1)) return;
    block_ = status.stx_dio_offset_align;
    alignment_ = status.stx_dio_mem_align;
    const std::string path = "/proc/self/fd/" + std::to_string(fd_.get());
    direct_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
  }

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
  UniqueFd direct_;  // the same file past the page cache; none where that cannot be
  std::size_t block_ = 1;
  std::size_t alignment_ = 1;
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
