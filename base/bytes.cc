#include "base/bytes.h"

#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "base/check.h"

namespace vignette {

Block* Block::allocate(std::size_t capacity) {
  VCHECK(capacity <= std::numeric_limits<std::uint32_t>::max());
  void* memory = std::malloc(sizeof(Block) + capacity);
  VCHECK(memory != nullptr);
  return new (memory) Block(static_cast<std::uint32_t>(capacity));
}

void Block::destroy() {
  this->~Block();
  std::free(this);
}

std::size_t Block::footprint() const { return malloc_usable_size(const_cast<Block*>(this)); }

Slice Slice::copy(std::string_view bytes) {
  BlockRef block = BlockRef::allocate(bytes.size());
  if (!bytes.empty()) std::memcpy(block->data(), bytes.data(), bytes.size());
  return Slice(std::move(block), 0, bytes.size());
}

}  // namespace vignette
