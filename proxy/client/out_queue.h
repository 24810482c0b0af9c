// What a connection still has to send, as pieces in order: small texts are gathered in a block of our own,
// larger bytes are kept by reference. One writev takes many answers. Large pieces of blocks that have a
// file, and were sent a few times before, go to plain streams by sendfile, which copies nothing.
//
// Loop-thread only. Bytes are valid from append to the write that takes them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "net/stream.h"
#include "net/task.h"
#include "proxy/client/pace.h"

namespace vignette::proxy {

class OutQueue {
 public:
  // Copies. For heads, chunk framing and other short texts.
  void text(std::string_view bytes);
  // A writable tail of at least `size` bytes in the text block; commit_text() says how many were used.
  char* reserve_text(std::size_t size);
  void commit_text(std::size_t used);
  // References, but for a short body behind the head of the only answer queued, which is copied.
  void slice(Slice bytes);

  std::size_t bytes() const { return bytes_; }
  bool empty() const { return bytes_ == 0; }
  void clear();
  // clear(), and no memory is kept for what comes next.
  void release();

  // For what is sent from now on, until it is set again.
  void set_pace(const Pace& pace) { pace_ = pace; }
  // Sends everything. The error is the stream's: timeout when the client is slower than the pace.
  net::Task<Result<void>> flush(net::Stream& stream);

 private:
  static constexpr std::size_t kTextBlock = 4096;
  static constexpr std::size_t kPiecesAWrite = 64;
  static constexpr std::size_t kCopied = 2048;

  // Longer than a frame of HTTP/2: many of those share one call, which copies.
  static constexpr std::size_t kLeastByFile = 24 * 1024;

  enum class Way : std::uint8_t { undecided, copy, file };
  struct Piece {
    Slice bytes;
    Way way = Way::undecided;
  };

  bool goes_with_head(const Slice& bytes) const;
  static void decide(Piece& piece, std::size_t added);
  bool next_by_file() const { return pieces_[first_].way == Way::file; }
  struct Gathered {
    std::size_t count = 0;
    bool more = false;  // a piece that goes by its file follows
  };
  Gathered gather(std::span<iovec> out, bool is_tls) const;
  net::FileBytes next_file() const;
  void consume(std::size_t sent);
  void rewind_text();

  std::vector<Piece> pieces_;
  std::size_t first_ = 0;  // of pieces_, not yet sent
  std::size_t bytes_ = 0;
  BlockRef text_;
  std::size_t text_used_ = 0;
  Pace pace_{std::chrono::seconds(60), 0};
};

}  // namespace vignette::proxy
