#include "cache/body.h"

#include <malloc.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace vignette::cache {
namespace {

// Allocators serve round sizes exactly; the header of the block comes out of the chunk.
constexpr std::size_t block_capacity(std::size_t chunk_bytes) { return chunk_bytes - sizeof(Block); }

}  // namespace

BodyRef Body::create(std::optional<std::uint64_t> expected) {
  BodyRef body = BodyRef::adopt(new Body());
  body->expected_ = expected;
  return body;
}

BodyRef Body::create_inside(BlockRef block, std::size_t offset, std::size_t room) {
  VCHECK(offset + room <= block->capacity());
  BodyRef body = BodyRef::adopt(new Body());
  body->expected_ = room;
  body->foreign_ = block.get();
  body->tail_ = std::move(block);
  body->tail_used_ = offset;
  body->tail_end_ = offset + room;
  return body;
}

std::size_t Body::read(std::uint64_t position, std::span<Slice> out) const {
  if (position >= length()) return 0;
  std::unique_lock lock(mutex_, std::defer_lock);
  if (state() != State::complete) lock.lock();
  auto after = [](std::uint64_t at, const Chunk& chunk) { return at < chunk.offset; };
  auto chunk = std::upper_bound(chunks_.begin(), chunks_.end(), position, after);
  if (chunk == chunks_.begin()) return 0;
  --chunk;
  std::size_t count = 0;
  for (; chunk != chunks_.end() && count < out.size(); ++chunk) {
    const std::uint64_t skip = position > chunk->offset ? position - chunk->offset : 0;
    out[count++] = chunk->bytes.sub(skip, chunk->bytes.size() - skip);
  }
  return count;
}

std::span<const Chunk> Body::chunks() const {
  DCHECK(state() == State::complete);
  return chunks_;
}

std::size_t Body::footprint() const {
  const std::size_t self = malloc_usable_size(const_cast<Body*>(this));
  return self + chunk_footprint_.load(std::memory_order_relaxed) + chunks_footprint();
}

std::size_t Body::chunks_footprint() const {
  std::unique_lock lock(mutex_, std::defer_lock);
  if (state() != State::complete) lock.lock();
  return chunks_.capacity() * sizeof(Chunk);
}

std::size_t Body::room_in_tail() const { return tail_ ? tail_end_ - tail_used_ : 0; }

// The rest of a known length in as few chunks as may be; unknown lengths double.
std::size_t Body::next_chunk_bytes(std::size_t wanted) const {
  const std::uint64_t have = length_.load(std::memory_order_relaxed);
  const std::size_t most = block_capacity(kLargestChunk);
  if (expected_ && *expected_ > have) {
    return static_cast<std::size_t>(std::min<std::uint64_t>(*expected_ - have, most));
  }
  const std::size_t doubled = std::max<std::size_t>(static_cast<std::size_t>(have), wanted);
  std::size_t chunk = kSmallestChunk;
  while (chunk < kLargestChunk && block_capacity(chunk) < doubled) chunk *= 2;
  return block_capacity(chunk);
}

std::size_t Body::footprint_after(std::size_t bytes) const {
  const std::size_t room = room_in_tail();
  const std::size_t now = footprint();
  if (bytes <= room) return now;
  const std::size_t chunk = next_chunk_bytes(bytes - room);
  const std::size_t chunks = (bytes - room + chunk - 1) / chunk;
  return now + chunks * (chunk + sizeof(Block) + sizeof(Chunk));
}

void Body::open_tail(std::size_t wanted) {
  tail_ = BlockRef::allocate_in_file(next_chunk_bytes(wanted));
  tail_used_ = 0;
  tail_end_ = tail_->capacity();
  chunk_footprint_.fetch_add(tail_->footprint(), std::memory_order_relaxed);
}

void Body::append_copy(std::string_view bytes) {
  DCHECK(state() == State::filling);
  while (!bytes.empty()) {
    if (room_in_tail() == 0) open_tail(bytes.size());
    const std::size_t count = std::min(bytes.size(), room_in_tail());
    std::memcpy(tail_->data() + tail_used_, bytes.data(), count);
    tail_used_ += count;
    publish(Slice(tail_, tail_used_ - count, count), true);
    bytes.remove_prefix(count);
  }
}

void Body::append_slice(Slice bytes) {
  DCHECK(state() == State::filling);
  if (bytes.empty()) return;
  tail_ = BlockRef();
  chunk_footprint_.fetch_add(bytes.block()->footprint(), std::memory_order_relaxed);
  publish(std::move(bytes), false);
}

// Bytes that follow the last chunk in the body's own block make it longer; the slices that readers hold stay
// as they are.
void Body::publish(Slice bytes, bool may_extend) {
  const std::uint64_t offset = length_.load(std::memory_order_relaxed);
  const std::uint64_t length = offset + bytes.size();
  const std::lock_guard lock(mutex_);
  if (may_extend && !chunks_.empty() &&
      chunks_.back().bytes.data() + chunks_.back().bytes.size() == bytes.data() &&
      chunks_.back().bytes.block().get() == bytes.block().get()) {
    const Slice& last = chunks_.back().bytes;
    const auto start = static_cast<std::size_t>(last.data() - last.block()->data());
    chunks_.back().bytes = Slice(last.block(), start, last.size() + bytes.size());
  } else {
    chunks_.push_back({offset, std::move(bytes)});
  }
  length_.store(length, std::memory_order_release);
}

void Body::drop_before(std::uint64_t position) {
  const std::lock_guard lock(mutex_);
  auto kept = chunks_.begin();
  for (; kept != chunks_.end() && kept->offset + kept->bytes.size() <= position; ++kept) {
    const BlockRef& block = kept->bytes.block();
    if (block.get() == tail_.get()) break;  // still being written
    if (block.get() != foreign_) chunk_footprint_.fetch_sub(block->footprint(), std::memory_order_relaxed);
  }
  chunks_.erase(chunks_.begin(), kept);
}

// A last block of which much stayed empty is replaced by one that fits.
void Body::trim_tail() {
  if (!tail_ || tail_.get() == foreign_ || room_in_tail() * 8 <= tail_->capacity()) return;
  const BlockRef smaller = BlockRef::allocate_in_file(tail_used_);
  std::memcpy(smaller->data(), tail_->data(), tail_used_);
  Slice fitting(smaller, 0, tail_used_);
  const std::size_t before = tail_->footprint();
  chunk_footprint_.fetch_add(fitting.block()->footprint(), std::memory_order_relaxed);
  chunk_footprint_.fetch_sub(before, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  if (!chunks_.empty() && chunks_.back().bytes.block().get() == tail_.get()) {
    chunks_.back().bytes = std::move(fitting);
  }
}

void Body::complete() {
  trim_tail();
  const std::lock_guard lock(mutex_);
  DCHECK(state() == State::filling);
  tail_ = BlockRef();
  state_.store(State::complete, std::memory_order_release);
}

void Body::fail() {
  const std::lock_guard lock(mutex_);
  tail_ = BlockRef();
  state_.store(State::failed, std::memory_order_release);
}

}  // namespace vignette::cache
