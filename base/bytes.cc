#include "base/bytes.h"

#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "base/check.h"
#include "base/file_memory.h"

namespace vignette {

Block* Block::allocate(std::size_t capacity) {
  VCHECK(capacity <= std::numeric_limits<std::uint32_t>::max());
  void* memory = std::malloc(sizeof(Block) + capacity);
  VCHECK(memory != nullptr);
  return new (memory) Block(static_cast<std::uint32_t>(capacity), kNoPage);
}

Block* Block::allocate_in_file(std::size_t capacity) {
  const std::size_t bytes = sizeof(Block) + capacity;
  if (bytes < FileMemory::kLeast || bytes > FileMemory::kMost) return allocate(capacity);
  const FileMemory::Range range = FileMemory::process().allocate(bytes);
  if (!range.data) return allocate(capacity);
  const auto page = static_cast<std::uint32_t>(range.offset / FileMemory::kPage);
  return new (range.data) Block(static_cast<std::uint32_t>(capacity), page);
}

void Block::destroy() {
  if (!has_file()) {
    this->~Block();
    return std::free(this);
  }
  const FileMemory::Range range{reinterpret_cast<char*>(this), std::uint64_t{page_} * FileMemory::kPage,
                                footprint()};
  const bool was_given = given_.load(std::memory_order_relaxed);
  this->~Block();
  FileMemory::process().free(range, was_given);
}

std::size_t Block::footprint() const {
  return has_file() ? FileMemory::rounded(sizeof(Block) + capacity_)
                    : malloc_usable_size(const_cast<Block*>(this));
}

std::uint64_t Block::give(const char* bytes) const {
  VCHECK(has_file());
  given_.store(true, std::memory_order_relaxed);
  return std::uint64_t{page_} * FileMemory::kPage +
         static_cast<std::uint64_t>(bytes - reinterpret_cast<const char*>(this));
}

Slice Slice::copy(std::string_view bytes) {
  BlockRef block = BlockRef::allocate(bytes.size());
  if (!bytes.empty()) std::memcpy(block->data(), bytes.data(), bytes.size());
  return Slice(std::move(block), 0, bytes.size());
}

}  // namespace vignette
