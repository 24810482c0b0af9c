// Stream: a connected socket, plain or TLS under one interface. Its descriptor is registered with the loop
// once, edge-triggered, for life; each operation tries the system call first and suspends only when that
// would block. At most one read-side and one write-side operation at a time (they may be of two strands).
// Deadlines are absolute, so bytes that drip in never extend them; kNoDeadline waits for ever.
// Errors: timeout, cancelled (also when the stream is closed under the operation), reset (RST, EPIPE),
// tls (a record error; `where` says which), closed (TLS that ended without close_notify), io.
// `blame` is who the stream's peer is: client for accepted ones, origin for connected ones.
// Loop-thread only. Streams are closed before their Worker is destroyed.
#pragma once

#include <sys/uio.h>

#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "net/address.h"
#include "net/op.h"
#include "net/task.h"

namespace vignette::net {

class Socket;
class Worker;
enum class Outcome : std::uint8_t;

class StreamOp : public Op {
 public:
  enum class Kind : std::uint8_t {
    read,
    wait_readable,
    wait_raw_readable,
    write,
    write_some,
    write_unless_readable,
    send_file,
    wait_writable
  };
  bool await_ready();
  void await_suspend(std::coroutine_handle<> frame);
  const char* waits_on() const override;
  void fail(Code code) override;

 protected:
  friend class Socket;
  ~StreamOp();
  StreamOp(Socket* socket, Kind kind, void* data, std::size_t size, TimePoint deadline)
      : Op(deadline), socket_(socket), data_(data), size_(size), kind_(kind) {}
  bool reads() const { return kind_ <= Kind::wait_raw_readable; }
  Outcome attempt_write();
  Outcome attempt_send_file();
  bool attempt();  // tries the system call; true when the operation is over
  void unhook();

  Socket* socket_;
  void* data_;        // bytes, or iovecs
  std::size_t size_;  // bytes, or how many iovecs are left
  std::size_t moved_ = 0;
  Error error_{};
  Kind kind_;
  bool failed_ = false;
  bool interrupted_ = false;
  bool more_ = false;  // bytes follow at once: the kernel may wait for them with what fills no segment
};

struct ReadOp final : StreamOp {
  ReadOp(Socket* socket, std::span<char> into, TimePoint deadline)
      : StreamOp(socket, Kind::read, into.data(), into.size(), deadline) {}
  Result<std::size_t> await_resume() const;
};
struct WaitOp final : StreamOp {
  WaitOp(Socket* socket, Kind kind, TimePoint deadline) : StreamOp(socket, kind, nullptr, 0, deadline) {}
  Result<void> await_resume() const;
};
struct WriteOp final : StreamOp {
  WriteOp(Socket* socket, std::span<iovec> parts, TimePoint deadline)
      : StreamOp(socket, Kind::write, parts.data(), parts.size(), deadline) {}
  Result<void> await_resume() const;
};
struct WriteSomeOp final : StreamOp {
  WriteSomeOp(Socket* socket, std::span<iovec> parts, TimePoint deadline, bool more)
      : StreamOp(socket, Kind::write_some, parts.data(), parts.size(), deadline) {
    more_ = more;
  }
  Result<std::size_t> await_resume() const;
};
// Bytes of a file. The descriptor stays its owner's.
struct FileBytes {
  int descriptor = -1;
  std::uint64_t offset = 0;
  std::size_t size = 0;
};
struct SendFileOp final : StreamOp {
  SendFileOp(Socket* socket, const FileBytes& bytes, TimePoint deadline)
      : StreamOp(socket, Kind::send_file, nullptr, bytes.size, deadline), file_(bytes) {}
  Result<std::size_t> await_resume() const;

 private:
  friend class StreamOp;
  FileBytes file_;
};
enum class Wrote : std::uint8_t { all, interrupted };
struct WriteUnlessReadableOp final : StreamOp {
  WriteUnlessReadableOp(Socket* socket, std::span<iovec> parts, TimePoint deadline)
      : StreamOp(socket, Kind::write_unless_readable, parts.data(), parts.size(), deadline) {}
  Result<Wrote> await_resume() const;
};

// Of a pooled connection that should be silent.
enum class IdleState : std::uint8_t { clean, closed, dirty };

// Views are valid as long as the stream is open.
struct TlsInfo {
  std::string_view version;  // "TLSv1.3"
  std::string_view cipher;
  std::string_view sni;   // empty when the client named nothing
  std::string_view alpn;  // empty when nothing was agreed
  bool resumed = false;
};

// What the peer has shown of itself and the handshake has found good.
struct PeerCertificate {
  std::string subject;      // RFC 4514, ASCII
  std::string fingerprint;  // SHA-256, 64 hexadecimal digits in lower case
};

class Stream {
 public:
  Stream() = default;
  // Inline: on its way through the frames of a request a stream moves a dozen times.
  Stream(Stream&& other) noexcept : socket_(std::exchange(other.socket_, nullptr)) {}
  Stream& operator=(Stream&& other) noexcept {
    if (this != &other) {
      close();
      socket_ = std::exchange(other.socket_, nullptr);
    }
    return *this;
  }
  ~Stream() {
    if (socket_) close();
  }

  // Wraps a connected socket (made non-blocking here). `peer` spares a system call when it is known.
  static Result<Stream> adopt(Worker& worker, UniqueFd descriptor, Blame blame = Blame::internal,
                              const Address* peer = nullptr);

  explicit operator bool() const { return socket_ != nullptr; }  // open
  Worker& worker() const;
  int descriptor() const;

  // Result<size_t>: bytes, at least one; 0 is the orderly end.
  ReadOp read(std::span<char> into, TimePoint deadline) { return {socket_, into, deadline}; }
  // Result<void>: there is something to read, or the end, or an error to be read; holds no buffer.
  WaitOp wait_readable(TimePoint deadline) { return {socket_, StreamOp::Kind::wait_readable, deadline}; }
  WaitOp wait_writable(TimePoint deadline) { return {socket_, StreamOp::Kind::wait_writable, deadline}; }
  // Result<void>: everything has been handed to the kernel. The iovecs are consumed (advanced) on the way.
  WriteOp write(std::span<iovec> parts, TimePoint deadline) { return {socket_, parts, deadline}; }
  // Result<size_t>: some bytes, at least one unless all parts are empty. The iovecs are advanced.
  // `more`: other bytes are written at once after these.
  WriteSomeOp write_some(std::span<iovec> parts, TimePoint deadline, bool more = false) {
    return {socket_, parts, deadline, more};
  }
  // Plain streams only. Result<size_t>: some bytes, at least one unless the file ends before `bytes.offset`
  // or `size` is 0. The pages are the socket's until the peer has acknowledged them: who writes to that place
  // of the file before changes what is sent. Reading them blocks the loop where they are not in memory.
  SendFileOp send_file_some(const FileBytes& bytes, TimePoint deadline) { return {socket_, bytes, deadline}; }
  // Result<Wrote>: stops early, with the iovecs showing what is left, once the peer has sent something or has
  // ended: an origin that answers before it read the whole body.
  WriteUnlessReadableOp write_unless_readable(std::span<iovec> parts, TimePoint deadline) {
    return {socket_, parts, deadline};
  }

  // Never suspend. try_read: nothing when it would block, else as read(). try_write: bytes taken, 0 when it
  // would block; the iovecs are advanced.
  Result<std::optional<std::size_t>> try_read(std::span<char> into);
  Result<std::size_t> try_write(std::span<iovec> parts);

  // Sends the end (TLS: close_notify first), keeps reading. At once: what is still queued goes out first.
  void shutdown_write();
  // Operations under way fail with Code::cancelled. Idempotent. TLS sends close_notify if it can at once.
  void close();
  // Like close(), but the peer sees RST and unsent bytes are dropped.
  void reset();

  // Plain unix-domain sockets only. Sends all bytes; the descriptors travel with the first. They stay ours.
  Task<Result<void>> send_with_fds(std::span<const char> bytes, std::span<const int> descriptors,
                                   TimePoint deadline);
  // Result<size_t>: bytes (0 = end); received descriptors (at most 16 a call, close-on-exec) are appended.
  Task<Result<std::size_t>> recv_with_fds(std::span<char> into, std::vector<UniqueFd>& descriptors,
                                          TimePoint deadline);

  Address local() const;
  Address peer() const;
  const IpAddress& peer_ip() const;  // :: for unix sockets
  Blame blame() const;

  // No system call: bytes may be waiting. May be true for nothing, is never false when the loop has
  // reported bytes or TLS holds some.
  bool readable_now() const;
  // One system call (MSG_PEEK; TLS: processes tickets and the like). Loop-thread only, nothing pending.
  IdleState idle_state();
  // True when nothing written since the last successful read has been acknowledged by the peer's kernel
  // (TCP_INFO), so that the peer cannot have acted on it. False when unknown (unix sockets).
  bool acked_nothing() const;
  std::uint64_t bytes_sent() const;  // on the wire, records included
  std::uint64_t bytes_received() const;

  bool is_tls() const;
  TlsInfo tls_info() const;  // empty for plain streams
  // Nothing for plain streams and peers that have shown none, or one that was not verified.
  std::optional<PeerCertificate> peer_certificate() const;

 private:
  friend class HangupGuard;
  friend class StreamAccess;
  static Result<Stream> adopt_nonblocking(Worker& worker, UniqueFd descriptor, Blame blame,
                                          const Address* peer);
  explicit Stream(Socket* socket) : socket_(socket) {}
  Socket* socket_ = nullptr;
};

// While in scope, a reset (or a full close) by the peer cancels the strand that made the guard. A FIN is a
// half-close and does nothing unless asked. Costs nothing until an event arrives. One a stream.
enum class HalfClose : std::uint8_t { keep, cancel };
class HangupGuard {
 public:
  // Only inside a strand.
  explicit HangupGuard(Stream& stream, HalfClose half_close = HalfClose::keep);
  ~HangupGuard();
  HangupGuard(const HangupGuard&) = delete;
  HangupGuard& operator=(const HangupGuard&) = delete;
  bool hung_up() const { return hung_up_; }  // the strand was cancelled by this guard

 private:
  friend class Socket;
  Socket* socket_;
  Strand* strand_;
  HalfClose half_close_;
  bool hung_up_ = false;
};

}  // namespace vignette::net
