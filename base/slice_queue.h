// Bytes in order, as slices: what has been produced and not yet been taken.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <deque>
#include <string_view>
#include <utility>

#include "base/bytes.h"

namespace vignette {

// Not thread-safe.
class SliceQueue {
 public:
  // By reference.
  void push(Slice bytes) {
    if (bytes.empty()) return;
    bytes_ += bytes.size();
    slices_.push_back(std::move(bytes));
  }
  // Copies, into blocks that many small pieces share: what is held is never much more than what was given.
  void append(std::string_view bytes) {
    while (!bytes.empty()) {
      if (!tail_ || tail_->capacity() == tail_used_) start_block(bytes.size());
      const std::size_t size = std::min(bytes.size(), tail_->capacity() - tail_used_);
      std::memcpy(tail_->data() + tail_used_, bytes.data(), size);
      extend(size);
      bytes.remove_prefix(size);
    }
  }
  // The first bytes, at most `most`, in one piece; empty when there are none.
  Slice pop(std::size_t most) {
    if (slices_.empty() || most == 0) return {};
    Slice& first = slices_.front();
    if (first.size() > most) {
      Slice taken = first.sub(0, most);
      first = first.sub(most, first.size() - most);
      bytes_ -= most;
      return taken;
    }
    Slice taken = std::move(first);
    slices_.pop_front();
    bytes_ -= taken.size();
    return taken;
  }
  std::size_t bytes() const { return bytes_; }
  bool empty() const { return bytes_ == 0; }
  void clear() {
    slices_.clear();
    tail_ = {};
    bytes_ = tail_used_ = 0;
  }

 private:
  static constexpr std::size_t kSmallBlock = 4096 - sizeof(Block);
  static constexpr std::size_t kBlock = 16 * 1024 - sizeof(Block);

  void start_block(std::size_t wanted) {
    tail_ = BlockRef::allocate(wanted > kSmallBlock || bytes_ > 0 ? kBlock : kSmallBlock);
    tail_used_ = 0;
  }
  // Of the tail, behind what is used: it joins the last slice when that ends there.
  void extend(std::size_t size) {
    const bool joins = !slices_.empty() && slices_.back().block().get() == tail_.get() &&
                       slices_.back().data() + slices_.back().size() == tail_->data() + tail_used_;
    if (joins) {
      Slice& last = slices_.back();
      last = Slice(tail_, tail_used_ - last.size(), last.size() + size);
    } else {
      slices_.emplace_back(tail_, tail_used_, size);
    }
    tail_used_ += size;
    bytes_ += size;
  }

  std::deque<Slice> slices_;
  std::size_t bytes_ = 0;
  BlockRef tail_;
  std::size_t tail_used_ = 0;
};

}  // namespace vignette
