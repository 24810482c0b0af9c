// Refcounted bytes: a Block is one allocation (header + data), a Slice is a view that keeps its Block
// alive. A block is written by one owner; bytes behind a published Slice never change.
//
// The blocks of what lasts (cached bodies) lie in memory that has a file, if they are large enough to be
// worth it: a socket takes their bytes without a copy (file_memory.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace vignette {

class Block {
 public:
  static constexpr std::uint32_t kCopiedTimes = 4;

  // Aborts when memory is exhausted; capacity in bytes, at most 4 GiB.
  static Block* allocate(std::size_t capacity);
  // The same in memory that has a file, where there is some and `capacity` fits it.
  static Block* allocate_in_file(std::size_t capacity);

  char* data() { return reinterpret_cast<char*>(this + 1); }
  const char* data() const { return reinterpret_cast<const char*>(this + 1); }
  std::size_t capacity() const { return capacity_; }
  std::size_t footprint() const;  // bytes as the allocator accounts them, header included

  bool has_file() const { return page_ != kNoPage; }
  // Counts bytes of this block on their way to clients. True once as many as the block has were sent
  // kCopiedTimes: what a socket was given costs fresh pages when it goes, as much as so many copies, and many
  // blocks are never sent so often. Thread-safe.
  bool note_sent(std::size_t bytes) const {
    const std::uint64_t before = sent_.load(std::memory_order_relaxed);
    if (before >= std::uint64_t{kCopiedTimes} * capacity_) return true;
    sent_.store(before + bytes, std::memory_order_relaxed);  // one that is lost between threads costs a copy
    return false;
  }
  // Where `bytes` of this block lie in the descriptor of FileMemory::process(). A socket may be given them.
  std::uint64_t give(const char* bytes) const;

 private:
  friend class BlockRef;
  static constexpr std::uint32_t kNoPage = ~std::uint32_t{0};
  Block(std::uint32_t capacity, std::uint32_t page) : capacity_(capacity), page_(page) {}
  void destroy();

  std::atomic<std::uint32_t> references_{1};
  std::uint32_t capacity_;
  std::uint32_t page_;                          // of the file, where this block begins
  mutable std::atomic<std::uint64_t> sent_{0};  // bytes
  mutable std::atomic<bool> given_{false};
};

// Thread-safe in the way of shared_ptr: distinct refs to one block may be used from distinct threads.
class BlockRef {
 public:
  BlockRef() = default;
  static BlockRef allocate(std::size_t capacity) { return BlockRef(Block::allocate(capacity)); }
  static BlockRef allocate_in_file(std::size_t capacity) {
    return BlockRef(Block::allocate_in_file(capacity));
  }
  BlockRef(const BlockRef& other) : block_(other.block_) {
    if (block_) block_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  BlockRef(BlockRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BlockRef() {
    if (block_ && block_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) block_->destroy();
  }
  explicit operator bool() const { return block_ != nullptr; }
  Block* get() const { return block_; }
  Block* operator->() const { return block_; }
  bool unique() const { return block_ && block_->references_.load(std::memory_order_acquire) == 1; }

 private:
  explicit BlockRef(Block* block) : block_(block) {}
  Block* block_ = nullptr;
};

class Slice {
 public:
  Slice() = default;
  Slice(BlockRef block, std::size_t offset, std::size_t size)
      : block_(std::move(block)),
        offset_(static_cast<std::uint32_t>(offset)),
        size_(static_cast<std::uint32_t>(size)) {
    std::size_t capacity = block_ ? block_->capacity() : 0;
    VCHECK(offset <= capacity && size <= capacity - offset);
  }
  static Slice copy(std::string_view bytes);

  const char* data() const { return block_ ? block_->data() + offset_ : nullptr; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::string_view view() const { return {data(), size_}; }
  // `offset` and `size` must lie inside this slice.
  Slice sub(std::size_t offset, std::size_t size) const {
    VCHECK(offset <= size_ && size <= size_ - offset);
    return Slice(block_, offset_ + offset, size);
  }
  const BlockRef& block() const { return block_; }

 private:
  BlockRef block_;
  std::uint32_t offset_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace vignette
