#include "proxy/client/out_queue.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/file_memory.h"
#include "net/worker.h"

namespace vignette::proxy {
namespace {

// Of the call, by a sandbox or a socket that cannot: nothing was sent, and copying will do.
bool is_refusal(const Error& error) {
  return error.sys_errno == EINVAL || error.sys_errno == ENOSYS || error.sys_errno == EPERM ||
         error.sys_errno == EOPNOTSUPP;
}

}  // namespace

char* OutQueue::reserve_text(std::size_t size) {
  if (!text_ || text_->capacity() - text_used_ < size) {
    text_ = BlockRef::allocate(std::max(kTextBlock - sizeof(Block), size));
    text_used_ = 0;
  }
  return text_->data() + text_used_;
}

void OutQueue::commit_text(std::size_t used) {
  if (used == 0) return;
  // Neighbouring texts are one piece: a pipelined burst of small answers stays short in iovecs.
  if (first_ < pieces_.size()) {
    Slice& last = pieces_.back().bytes;
    if (last.block().get() == text_.get() && last.data() + last.size() == text_->data() + text_used_) {
      last = Slice(last.block(), text_used_ - last.size(), last.size() + used);
      text_used_ += used;
      bytes_ += used;
      return;
    }
  }
  pieces_.push_back({Slice(text_, text_used_, used)});
  text_used_ += used;
  bytes_ += used;
}

void OutQueue::text(std::string_view bytes) {
  if (bytes.empty()) return;
  std::memcpy(reserve_text(bytes.size()), bytes.data(), bytes.size());
  commit_text(bytes.size());
}

// Copying a short body behind its head costs less than the kernel asks for a second piece. In a burst of
// answers bodies stay where they are: the block is for their heads.
bool OutQueue::goes_with_head(const Slice& bytes) const {
  if (bytes.size() > kCopied || pieces_.size() != 1 || !text_) return false;
  const Slice& head = pieces_.front().bytes;
  const bool at_end =
      head.block().get() == text_.get() && head.data() + head.size() == text_->data() + text_used_;
  return at_end && text_->capacity() - text_used_ >= bytes.size();
}

void OutQueue::slice(Slice bytes) {
  if (bytes.empty()) return;
  if (goes_with_head(bytes)) return text(bytes.view());
  bytes_ += bytes.size();
  // A stored head and the body behind it lie in one block: one piece, one iovec.
  if (first_ < pieces_.size() && bytes.block().get() != text_.get()) {
    Slice& last = pieces_.back().bytes;
    if (last.block().get() == bytes.block().get() && last.data() + last.size() == bytes.data()) {
      std::size_t offset = static_cast<std::size_t>(last.data() - last.block()->data());
      last = Slice(last.block(), offset, last.size() + bytes.size());
      return decide(pieces_.back(), bytes.size());
    }
  }
  pieces_.push_back({std::move(bytes)});
  decide(pieces_.back(), pieces_.back().bytes.size());
}

// Once for a piece, however it grows.
void OutQueue::decide(Piece& piece, std::size_t added) {
  const Block& block = *piece.bytes.block().get();
  if (!block.has_file()) return;
  const bool is_often_sent = block.note_sent(added);
  if (piece.way == Way::undecided && piece.bytes.size() >= kLeastByFile) {
    piece.way = is_often_sent ? Way::file : Way::copy;
  }
}

void OutQueue::clear() {
  pieces_.clear();
  first_ = 0;
  bytes_ = 0;
  rewind_text();
}

void OutQueue::release() {
  clear();
  pieces_.shrink_to_fit();
  text_ = {};
  text_used_ = 0;
}

void OutQueue::rewind_text() {
  if (text_ && text_.unique()) text_used_ = 0;
}

OutQueue::Gathered OutQueue::gather(std::span<iovec> out, bool is_tls) const {
  const std::size_t most = std::min(out.size(), pieces_.size() - first_);
  for (std::size_t i = 0; i < most; ++i) {
    const Piece& piece = pieces_[first_ + i];
    if (piece.way == Way::file && !is_tls) return {i, true};
    out[i] = {const_cast<char*>(piece.bytes.data()), piece.bytes.size()};
  }
  return {most, false};
}

net::FileBytes OutQueue::next_file() const {
  const Slice& bytes = pieces_[first_].bytes;
  return {FileMemory::process().descriptor(), bytes.block()->give(bytes.data()), bytes.size()};
}

void OutQueue::consume(std::size_t sent) {
  DCHECK(sent <= bytes_);
  bytes_ -= sent;
  while (sent > 0) {
    Slice& piece = pieces_[first_].bytes;
    if (sent < piece.size()) {
      piece = piece.sub(sent, piece.size() - sent);
      break;
    }
    sent -= piece.size();
    piece = Slice();
    ++first_;
  }
  if (first_ == pieces_.size()) {
    pieces_.clear();
    first_ = 0;
    rewind_text();
  } else if (first_ >= kPiecesAWrite) {  // a queue that is filled while it is sent may never be empty
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

net::Task<Result<void>> OutQueue::flush(net::Stream& stream) {
  net::Worker& worker = co_await net::this_worker();
  const bool is_tls = stream.is_tls();
  Result<std::size_t> sent = 0;
  while (bytes_ > 0) {
    const TimePoint began = worker.now();
    const bool by_file = next_by_file() && !is_tls;
    if (by_file) {
      sent = co_await stream.send_file_some(next_file(), pace_.deadline(began));
    } else {
      iovec vectors[kPiecesAWrite];
      const Gathered parts = gather(vectors, is_tls);
      sent = co_await stream.write_some(std::span(vectors, parts.count), pace_.deadline(began), parts.more);
    }
    if (!sent && by_file && is_refusal(sent.error())) {
      pieces_[first_].way = Way::copy;
      continue;
    }
    if (!sent) co_return std::unexpected(sent.error());
    VCHECK(*sent > 0);  // the file is as long as the blocks in it
    pace_.moved(worker.now() - began, *sent);
    consume(*sent);
  }
  co_return Result<void>{};
}

}  // namespace vignette::proxy
