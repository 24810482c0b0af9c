// The body of an object: an append-only list of immutable chunks that many threads read while one grows it.
//
//   filling -> complete | failed      (made by the owner of the fill, once)
//
// length() is published with release after the bytes are in place. While filling, read() takes a short
// lock; once complete the list never changes and reading takes none.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "cache/ref.h"

namespace vignette::cache {

class Body;
using BodyRef = Ref<Body>;

struct Chunk {
  std::uint64_t offset = 0;  // of its first byte in the body
  Slice bytes;
};

class Body {
 public:
  enum class State : std::uint8_t { filling, complete, failed };

  // A chunk that the body allocates for itself has between these sizes (bytes, allocator overhead included).
  static constexpr std::size_t kSmallestChunk = 16 * 1024;
  static constexpr std::size_t kLargestChunk = 256 * 1024;

  // `expected`: the length if it is known; chunks are sized by it.
  static BodyRef create(std::optional<std::uint64_t> expected);
  // The first bytes are written into `block` from `offset` on, up to `room` bytes.
  static BodyRef create_inside(BlockRef block, std::size_t offset, std::size_t room);

  // Thread-safe.
  std::uint64_t length() const { return length_.load(std::memory_order_acquire); }
  State state() const { return state_.load(std::memory_order_acquire); }
  // Up to out.size() slices of published bytes from `position` on; how many. 0: nothing there (yet), or
  // those bytes were dropped. The slices keep their memory alive.
  std::size_t read(std::uint64_t position, std::span<Slice> out) const;
  // State complete only: every chunk, in order.
  std::span<const Chunk> chunks() const;
  // Bytes as the allocator accounts them, the block given to create_inside() not included.
  std::size_t footprint() const;

  // One owner only, while filling.
  void append_copy(std::string_view bytes);              // packed into own chunks
  void append_slice(Slice bytes);                        // kept as it is: for bytes that soon go away again
  std::size_t footprint_after(std::size_t bytes) const;  // what append_copy(bytes) would make of footprint()
  void drop_before(std::uint64_t position);              // whole chunks that end at or before `position`
  void complete();
  void fail();

 private:
  friend class Ref<Body>;
  Body() = default;
  void destroy() { delete this; }
  std::size_t room_in_tail() const;
  std::size_t next_chunk_bytes(std::size_t wanted) const;
  void open_tail(std::size_t wanted);
  void publish(Slice bytes, bool may_extend);
  void trim_tail();
  std::size_t chunks_footprint() const;

  std::atomic<std::uint32_t> references_{1};
  std::atomic<State> state_{State::filling};
  std::atomic<std::uint64_t> length_{0};
  std::atomic<std::size_t> chunk_footprint_{0};
  mutable std::mutex mutex_;  // guards chunks_ while filling
  std::vector<Chunk> chunks_;
  BlockRef tail_;  // owner only: the block being filled, and where
  std::size_t tail_used_ = 0;
  std::size_t tail_end_ = 0;
  const Block* foreign_ = nullptr;  // the block of create_inside()
  std::optional<std::uint64_t> expected_;
};

}  // namespace vignette::cache
