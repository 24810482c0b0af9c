// The body of an HTTP/2 request, as its DATA frames bring it; the client's window opens by what is taken.
// Answers `Expect: 100-continue` when the first byte is asked for. Loop-thread only; lives for one request.
#pragma once

#include <cstdint>

#include "proxy/client/pace.h"
#include "proxy/client/request_body.h"

namespace vignette::proxy {

class H2Connection;
struct H2Stream;

class H2Body final : public RequestBody {
 public:
  // Both outlive it. Slower than `pace`, while the client could send: Code::timeout.
  H2Body(H2Connection& connection, H2Stream& stream, const Pace& pace)
      : connection_(connection), stream_(stream), full_pace_(pace), pace_(pace) {}

  // `deadline` is ignored when the pace's comes first. Errors: limit, timeout, reset (the client gave the
  // stream or the connection up); all blame the client.
  net::Task<Result<Piece>> next(TimePoint deadline) override;
  void set_max_bytes(std::uint64_t bytes) override { max_bytes_ = bytes; }
  bool complete() const override;
  std::uint64_t bytes() const override { return bytes_; }

 private:
  static constexpr std::size_t kPieceBytes = 64 * 1024;

  Result<void> check_length() const;
  void begin();
  net::Task<Result<void>> receive(TimePoint deadline);

  H2Connection& connection_;
  H2Stream& stream_;
  const Pace full_pace_;
  Pace pace_;
  std::uint64_t max_bytes_ = 0;
  std::uint64_t bytes_ = 0;
  bool started_ = false;
};

}  // namespace vignette::proxy
