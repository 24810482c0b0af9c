// One end of a tunnel: bytes both ways, whatever carries them (a connection, a stream of HTTP/2). Its two
// directions may be used by two strands. Loop-thread only.
#pragma once

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/stream.h"
#include "net/task.h"

namespace vignette::proxy {

class TunnelEnd {
 public:
  virtual ~TunnelEnd() = default;
  // Some bytes, or none: the peer has ended its direction in order. Holds no memory while it waits. Errors:
  // timeout, reset, closed, tls, cancelled (also when close() or reset() came).
  virtual net::Task<Result<Slice>> read(TimePoint deadline) = 0;
  // All of them have been taken by what is below, whose room is bounded. Errors as read().
  virtual net::Task<Result<void>> write(Slice bytes, TimePoint deadline) = 0;
  // No more bytes will be written. The peer sees an orderly end, and may go on sending.
  virtual void end() = 0;
  // Both directions, in order, and not so. Idempotent.
  virtual void close() = 0;
  virtual void reset() = 0;
};

// A connection. `received`: what has been read of it already, and comes first.
class StreamEnd : public TunnelEnd {
 public:
  StreamEnd(net::Stream stream, Slice received)
      : stream_(std::move(stream)), received_(std::move(received)) {}

  net::Task<Result<Slice>> read(TimePoint deadline) override;
  net::Task<Result<void>> write(Slice bytes, TimePoint deadline) override;
  void end() override { stream_.shutdown_write(); }
  void close() override { stream_.close(); }
  void reset() override { stream_.reset(); }

 protected:
  // After bytes have moved, either way.
  virtual void moved(const net::Stream&) {}

 private:
  static constexpr std::size_t kPieceBytes = 16 * 1024;

  net::Stream stream_;
  Slice received_;
};

}  // namespace vignette::proxy
