#include "net/handshake.h"

#include "net/socket.h"
#include "net/worker.h"

namespace vignette::net {

Task<Result<void>> shake_hands(Stream& stream, TimePoint deadline, std::string* reason) {
  Socket& socket = StreamAccess::socket(stream);
  while (true) {
    Error error;
    const Outcome outcome = socket.tls->handshake(error);
    if (outcome == Outcome::done) break;
    if (outcome == Outcome::failed) {
      if (reason) *reason = socket.tls->reason();
      co_return std::unexpected(error);
    }
    // What could not be sent yet leaves with the next writable edge, by itself.
    auto arrived = co_await WaitOp(&socket, StreamOp::Kind::wait_raw_readable, deadline);
    if (!arrived) co_return std::unexpected(arrived.error());
  }
  auto flushed = co_await stream.wait_writable(deadline);
  co_return flushed;
}

}  // namespace vignette::net
