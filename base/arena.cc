#include "base/arena.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/check.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define VIGNETTE_ARENA_POISON(data, size) __asan_poison_memory_region(data, size)
#define VIGNETTE_ARENA_UNPOISON(data, size) __asan_unpoison_memory_region(data, size)
#endif
#endif
#ifndef VIGNETTE_ARENA_POISON
#define VIGNETTE_ARENA_POISON(data, size) void()
#define VIGNETTE_ARENA_UNPOISON(data, size) void()
#endif

namespace vignette {

Arena::~Arena() { release(); }

char* Arena::allocate(std::size_t bytes, std::size_t alignment) {
  DCHECK(alignment != 0 && (alignment & (alignment - 1)) == 0 && alignment <= alignof(std::max_align_t));
  std::size_t start = (offset_ + alignment - 1) & ~(alignment - 1);
  std::size_t padding = start - offset_;
  if (bytes > cap_ - used_ || padding > cap_ - used_ - bytes) return nullptr;
  if (chunks_.empty() || start > chunks_.back().size || bytes > chunks_.back().size - start) {
    add_chunk(std::max(bytes, kChunkBytes));
    start = padding = 0;
  }
  char* result = chunks_.back().bytes.get() + start;
  VIGNETTE_ARENA_UNPOISON(result, bytes);
  offset_ = start + bytes;
  used_ += padding + bytes;
  return result;
}

void Arena::add_chunk(std::size_t size) {
  chunks_.push_back({std::unique_ptr<char[]>(new char[size]), size});
  VIGNETTE_ARENA_POISON(chunks_.back().bytes.get(), size);
  offset_ = 0;
}

std::optional<std::string_view> Arena::copy(std::string_view text) {
  char* result = allocate(text.size());
  if (result == nullptr) return std::nullopt;
  if (!text.empty()) std::memcpy(result, text.data(), text.size());
  return std::string_view(result, text.size());
}

std::optional<std::string_view> Arena::concat(std::span<const std::string_view> parts) {
  std::size_t size = 0;
  for (std::string_view part : parts) size += part.size();
  char* result = allocate(size);
  if (result == nullptr) return std::nullopt;
  char* to = result;
  for (std::string_view part : parts) to = std::copy(part.begin(), part.end(), to);
  return std::string_view(result, size);
}

void Arena::reset() {
  used_ = offset_ = 0;
  // A first chunk made for one long string is not worth keeping.
  if (!chunks_.empty() && chunks_.front().size > kChunkBytes) return release();
  while (chunks_.size() > 1) drop_chunk();
  if (!chunks_.empty()) VIGNETTE_ARENA_POISON(chunks_.front().bytes.get(), chunks_.front().size);
}

void Arena::release() {
  used_ = offset_ = 0;
  while (!chunks_.empty()) drop_chunk();
}

void Arena::drop_chunk() {
  VIGNETTE_ARENA_UNPOISON(chunks_.back().bytes.get(), chunks_.back().size);
  chunks_.pop_back();
}

std::size_t Arena::capacity() const {
  std::size_t total = 0;
  for (const Chunk& chunk : chunks_) total += chunk.size;
  return total;
}

}  // namespace vignette
