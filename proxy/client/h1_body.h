// The body of an HTTP/1.1 request, pulled from the connection: what came with the head first, then reads.
// Answers `Expect: 100-continue` when the first byte is asked for. Loop-thread only; lives for one request.
#pragma once

#include <span>

#include "http/chunked.h"
#include "http/message.h"
#include "net/stream.h"
#include "proxy/client/h1_responder.h"
#include "proxy/client/pace.h"
#include "proxy/client/request_body.h"

namespace vignette::proxy {

class H1Body final : public RequestBody {
 public:
  struct Options {
    std::uint64_t max_bytes = 0;  // past it Code::limit
    Pace pace;                    // slower than that: Code::timeout
  };

  // `received`: what lies behind the head in the connection's buffer, which must stay while this lives.
  H1Body(net::Stream& stream, H1Responder& responder, const http::RequestHead& head, std::span<char> received,
         const Options& options);

  // `deadline` is ignored when the pace's comes first. Errors: malformed (framing), limit, timeout,
  // closed, reset; all blame the client.
  net::Task<Result<Piece>> next(TimePoint deadline) override;

  void set_max_bytes(std::uint64_t bytes) override { options_.max_bytes = bytes; }
  bool complete() const override { return state_ == State::complete; }
  bool started() const { return started_; }
  // Bytes behind the body: part of `received`, or read along with the last chunk. Valid while this lives.
  std::span<char> surplus() const { return unread_; }
  std::uint64_t bytes() const override { return bytes_; }

 private:
  enum class State : std::uint8_t { reading, complete, broken };

  net::Task<Result<Piece>> next_of_length(TimePoint deadline);
  net::Task<Result<Piece>> next_of_chunks(TimePoint deadline);
  net::Task<Result<void>> begin();
  net::Task<Result<std::size_t>> receive(std::span<char> into, TimePoint deadline);
  Result<Piece> broken(Error error);
  Result<Piece> take_chunks();
  std::size_t piece_bytes() const;

  static constexpr std::size_t kPieceBytes = 64 * 1024;
  static constexpr std::size_t kWindowBytes = 16 * 1024;

  net::Stream& stream_;
  H1Responder& responder_;
  Options options_;
  State state_ = State::reading;
  bool chunked_;
  bool expects_continue_;
  bool started_ = false;
  std::uint64_t left_ = 0;   // length framing
  std::uint64_t bytes_ = 0;  // of body so far
  std::span<char> unread_;   // received and not yet taken
  BlockRef window_;          // chunked: where reads go
  http::ChunkedDecoder decoder_;
};

}  // namespace vignette::proxy
