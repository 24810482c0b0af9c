#include "base/file_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "base/check.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define VIGNETTE_POISON(data, bytes) __asan_poison_memory_region(data, bytes)
#define VIGNETTE_UNPOISON(data, bytes) __asan_unpoison_memory_region(data, bytes)
#endif
#endif
#ifndef VIGNETTE_POISON
#define VIGNETTE_POISON(data, bytes) void(0)
#define VIGNETTE_UNPOISON(data, bytes) void(0)
#endif

namespace vignette {
namespace {

constexpr unsigned kNoExec = 8;  // MFD_NOEXEC_SEAL, which older headers do not name

bool cut_out(int file, std::uint64_t offset, std::size_t bytes) {
  constexpr int kHole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  int failed;
  do {
    failed = ::fallocate(file, kHole, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  } while (failed != 0 && errno == EINTR);
  return failed == 0;
}

// Pages are what is given and cut out, so the kernel's must be ours. Some sandboxes have files of memory
// without holes, and a limit on the length of files (RLIMIT_FSIZE) means these too.
bool can_be_cut(int file) {
  rlimit longest{};
  struct stat status{};
  return ::sysconf(_SC_PAGESIZE) == static_cast<long>(FileMemory::kPage) &&
         ::getrlimit(RLIMIT_FSIZE, &longest) == 0 && longest.rlim_cur == RLIM_INFINITY &&
         ::pwrite(file, "", 1, 0) == 1 && cut_out(file, 0, FileMemory::kPage) &&
         ::fstat(file, &status) == 0 && status.st_blocks == 0;
}

UniqueFd make_file() {
  constexpr const char* kName = "vignette-bodies";
  UniqueFd file(::memfd_create(kName, MFD_CLOEXEC | kNoExec));
  if (!file && errno == EINVAL) file = UniqueFd(::memfd_create(kName, MFD_CLOEXEC));
  return file && can_be_cut(file.get()) ? std::move(file) : UniqueFd();
}

}  // namespace

FileMemory& FileMemory::process() {
  static FileMemory* const memory = new FileMemory();  // blocks may outlive every static
  return *memory;
}

FileMemory::FileMemory() : file_(make_file()) {}

FileMemory::~FileMemory() {
  for (char* span : spans_) {
    VIGNETTE_UNPOISON(span, kSpan);
    ::munmap(span, kSpan);
  }
}

std::size_t FileMemory::rounded(std::size_t bytes) {
  const std::size_t pages = (bytes + kPage - 1) / kPage;
  const std::size_t step = pages <= 16 ? 1 : std::bit_floor(pages - 1) / 8;
  return (pages + step - 1) / step * step * kPage;
}

std::size_t FileMemory::warm_bytes() const {
  const std::lock_guard lock(mutex_);
  return warm_bytes_;
}

FileMemory::Range FileMemory::allocate(std::size_t bytes) {
  VCHECK(bytes <= kMost);
  Range range;
  bool has_pages = false;
  if (!file_ || !take(rounded(bytes), range, has_pages)) return {};
  VIGNETTE_UNPOISON(range.data, range.bytes);
  // All pages in one call; a kernel that knows no such call brings each by its own fault.
  const bool has_room =
      has_pages || ::madvise(range.data, (bytes + kPage - 1) / kPage * kPage, MADV_POPULATE_WRITE) == 0 ||
      errno == EINVAL;
  if (has_room) return range;
  free(range, true);
  return {};
}

bool FileMemory::take(std::size_t bytes, Range& range, bool& has_pages) {
  const std::lock_guard lock(mutex_);
  Free& free = free_[bytes / kPage];
  has_pages = !free.warm.empty();
  std::vector<Place>& places = has_pages ? free.warm : free.cold;
  if (places.empty()) return carve(bytes, range);
  range = {places.back().data, places.back().offset, bytes};
  places.pop_back();
  if (has_pages) warm_bytes_ -= bytes;
  return true;
}

bool FileMemory::carve(std::size_t bytes, Range& range) {
  if (kSpan - span_used_ < bytes) {
    const std::size_t begin = spans_.size() * kSpan;
    if (::ftruncate(file_.get(), static_cast<off_t>(begin + kSpan)) != 0) return false;
    void* span = ::mmap(nullptr, kSpan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file_.get(),
                        static_cast<off_t>(begin));
    if (span == MAP_FAILED) return false;
    // Of a huge page the kernel zeroes what is cut out, in place, while a socket may hold it.
    if (::madvise(span, kSpan, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) {
      ::munmap(span, kSpan);
      return false;
    }
    spans_.push_back(static_cast<char*>(span));
    span_used_ = 0;
  }
  range = {spans_.back() + span_used_, (spans_.size() - 1) * kSpan + span_used_, bytes};
  span_used_ += bytes;
  return true;
}

void FileMemory::free(Range range, bool was_given) {
  VIGNETTE_POISON(range.data, range.bytes);
  if (was_given) {
    // Going on with pages that a socket may hold would send one client's bytes to another.
    VCHECK(cut_out(file_.get(), range.offset, range.bytes));
    const std::lock_guard lock(mutex_);
    free_[range.bytes / kPage].cold.push_back({range.data, range.offset});
    return;
  }
  Range victim;
  bool has_victim = true;
  while (has_victim) {
    {
      const std::lock_guard lock(mutex_);
      has_victim = warm_bytes_ + range.bytes > kMostWarm && make_room_in_warm(victim);
      if (!has_victim) {
        free_[range.bytes / kPage].warm.push_back({range.data, range.offset});
        warm_bytes_ += range.bytes;
      }
    }
    if (has_victim) free(victim, true);
  }
}

// The sizes take turns, so that one that is no longer asked for does not keep its pages.
bool FileMemory::make_room_in_warm(Range& victim) {
  for (std::size_t looked = 0; looked < free_.size(); ++looked) {
    next_victim_ = (next_victim_ + 1) % free_.size();
    std::vector<Place>& warm = free_[next_victim_].warm;
    if (warm.empty()) continue;
    victim = {warm.back().data, warm.back().offset, next_victim_ * kPage};
    warm.pop_back();
    warm_bytes_ -= victim.bytes;
    return true;
  }
  return false;
}

}  // namespace vignette
