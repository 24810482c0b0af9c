#include "base/file_memory.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>

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

FileMemory& FileMemory::process() {
  static FileMemory* const memory = new FileMemory();  // blocks may outlive every static
  return *memory;
}

FileMemory::FileMemory() : file_(::memfd_create("vignette-bodies", MFD_CLOEXEC)) {}

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
  // All pages in one call; where the kernel cannot, each comes by its own fault.
  if (!has_pages) ::madvise(range.data, (bytes + kPage - 1) / kPage * kPage, MADV_POPULATE_WRITE);
  return range;
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
    cut_out(range);
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

// Going on with pages that a socket may hold would send one client's bytes to another.
void FileMemory::cut_out(const Range& range) {
  constexpr int kHole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  int failed;
  do {
    failed =
        ::fallocate(file_.get(), kHole, static_cast<off_t>(range.offset), static_cast<off_t>(range.bytes));
  } while (failed != 0 && errno == EINTR);
  VCHECK(failed == 0);
}

}  // namespace vignette
