#include "net/stream.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "net/socket.h"
#include "net/worker.h"

namespace vignette::net {

// --- operations ---

StreamOp::~StreamOp() {
  if (pending()) unhook();
}

bool StreamOp::await_ready() {
  if (strand_cancelled() || !socket_) {
    failed_ = true;
    error_ = Error{Code::cancelled, Blame::internal, Retry::no, 0, waits_on()};
    return done_at_once();
  }
  return attempt() ? done_at_once() : false;
}

void StreamOp::await_suspend(std::coroutine_handle<> frame) {
  if (!finished_) {
    StreamOp*& slot = reads() ? socket_->reader : socket_->writer;
    VCHECK(!slot);  // one waiting operation a side
    slot = this;
  }
  Op::await_suspend(frame);
}

bool StreamOp::attempt() {
  Outcome outcome = Outcome::blocked;
  switch (kind_) {
    case Kind::read:
      outcome = socket_->read({static_cast<char*>(data_), size_}, moved_, error_);
      break;
    case Kind::wait_readable:
      outcome = socket_->wait_input(error_);
      break;
    case Kind::wait_raw_readable:
      outcome = socket_->wait_raw_input(error_);
      break;
    case Kind::wait_writable:
      outcome = socket_->wait_output(error_);
      break;
    case Kind::write:
    case Kind::write_some:
    case Kind::write_unless_readable:
      outcome = attempt_write();
      break;
    case Kind::send_file:
      outcome = attempt_send_file();
      break;
  }
  failed_ = outcome == Outcome::failed;
  return outcome != Outcome::blocked;
}

Outcome StreamOp::attempt_write() {
  if (kind_ == Kind::write_unless_readable && socket_->input_arrived()) {
    interrupted_ = true;
    return Outcome::done;
  }
  std::span<iovec> parts(static_cast<iovec*>(data_), size_);
  const Outcome outcome = socket_->write(parts, moved_, error_, more_);
  data_ = parts.data();
  size_ = parts.size();
  // Bytes that TLS has encrypted but could not send do not count as moved.
  const bool held = socket_->tls && socket_->tls->has_unsent();
  if (outcome == Outcome::blocked && kind_ == Kind::write_some && moved_ > 0 && !held) return Outcome::done;
  return outcome;
}

Outcome StreamOp::attempt_send_file() {
  const Outcome outcome = socket_->send_file(static_cast<SendFileOp*>(this)->file_, moved_, error_);
  return outcome == Outcome::blocked && moved_ > 0 ? Outcome::done : outcome;
}

void StreamOp::unhook() {
  StreamOp*& slot = reads() ? socket_->reader : socket_->writer;
  if (slot == this) slot = nullptr;
}

void StreamOp::fail(Code code) {
#ifndef VIGNETTE_MUTATION_NOT_UNHOOKED
  unhook();
#endif
  failed_ = true;
  const Blame blame = code == Code::timeout ? socket_->blame : Blame::internal;
  error_ = Error{code, blame, Retry::no, 0, waits_on()};
  complete();
}

const char* StreamOp::waits_on() const {
  switch (kind_) {
    case Kind::read:
      return "read";
    case Kind::wait_readable:
      return "wait_readable";
    case Kind::wait_raw_readable:
      return "handshake";
    case Kind::write:
      return "write";
    case Kind::write_some:
      return "write_some";
    case Kind::write_unless_readable:
      return "write_unless_readable";
    case Kind::send_file:
      return "send_file";
    case Kind::wait_writable:
      return "wait_writable";
  }
  return "";
}

Result<std::size_t> ReadOp::await_resume() const {
  if (failed_) return std::unexpected(error_);
  return moved_;
}
Result<void> WaitOp::await_resume() const {
  if (failed_) return std::unexpected(error_);
  return {};
}
Result<void> WriteOp::await_resume() const {
  if (failed_) return std::unexpected(error_);
  return {};
}
Result<std::size_t> WriteSomeOp::await_resume() const {
  if (failed_) return std::unexpected(error_);
  return moved_;
}
Result<std::size_t> SendFileOp::await_resume() const {
  if (failed_) return std::unexpected(error_);
  return moved_;
}
Result<Wrote> WriteUnlessReadableOp::await_resume() const {
  if (failed_) return std::unexpected(error_);
  return interrupted_ ? Wrote::interrupted : Wrote::all;
}

// --- the stream ---

Result<Stream> Stream::adopt(Worker& worker, UniqueFd descriptor, Blame blame, const Address* peer) {
  const int flags = ::fcntl(descriptor.get(), F_GETFL);
  if (flags < 0) return fail(Code::io, Blame::internal, "fcntl", errno);
  if (!(flags & O_NONBLOCK)) ::fcntl(descriptor.get(), F_SETFL, flags | O_NONBLOCK);
  return adopt_nonblocking(worker, std::move(descriptor), blame, peer);
}

Result<Stream> Stream::adopt_nonblocking(Worker& worker, UniqueFd descriptor, Blame blame,
                                         const Address* peer) {
  Stream stream(new Socket(worker, std::move(descriptor), blame, peer));
  if (!stream.socket_->watch()) return fail(Code::exhausted, Blame::internal, "event_add", errno);
  return stream;
}

Worker& Stream::worker() const { return socket_->worker; }
int Stream::descriptor() const { return socket_ ? socket_->descriptor.get() : -1; }

Result<std::optional<std::size_t>> Stream::try_read(std::span<char> into) {
  std::size_t got = 0;
  Error error;
  switch (socket_->read(into, got, error)) {
    case Outcome::done:
      return got;
    case Outcome::blocked:
      return std::nullopt;
    case Outcome::failed:
      break;
  }
  return std::unexpected(error);
}

Result<std::size_t> Stream::try_write(std::span<iovec> parts) {
  std::size_t taken = 0;
  Error error;
  if (socket_->write(parts, taken, error) == Outcome::failed) return std::unexpected(error);
  return taken;
}

void Stream::shutdown_write() {
  if (socket_) socket_->shutdown_write();
}

void Stream::close() {
  Socket* socket = std::exchange(socket_, nullptr);
  if (!socket) return;
  if (socket->tls && socket->ending == Ending::no) socket->tls->send_close_notify();
  delete socket;
}

void Stream::reset() {
  Socket* socket = std::exchange(socket_, nullptr);
  if (!socket) return;
  socket->abort_on_close();
  delete socket;
}

Address Stream::local() const {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(descriptor(), reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length);
}

Address Stream::peer() const {
  if (socket_->family == Family::v4 || socket_->family == Family::v6) {
    return Address(socket_->peer_ip, socket_->peer_port);
  }
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getpeername(descriptor(), reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length);
}

const IpAddress& Stream::peer_ip() const { return socket_->peer_ip; }
Blame Stream::blame() const { return socket_->blame; }
std::uint64_t Stream::bytes_sent() const { return socket_->sent; }
std::uint64_t Stream::bytes_received() const { return socket_->received; }
bool Stream::is_tls() const { return socket_ && socket_->tls; }
TlsInfo Stream::tls_info() const { return is_tls() ? socket_->tls->info() : TlsInfo{}; }
std::optional<PeerCertificate> Stream::peer_certificate() const {
  return is_tls() ? socket_->tls->peer_certificate() : std::nullopt;
}
IdleState Stream::idle_state() { return socket_->idle_state(); }

bool Stream::readable_now() const {
  return socket_->readable != Level::no || (socket_->tls && socket_->tls->has_plain_bytes());
}

bool Stream::acked_nothing() const {
  if (!socket_->written_since_read) return false;
  const std::optional<std::uint64_t> acked = tcp_bytes_acked(descriptor());
  return acked && *acked <= socket_->sent_before + (socket_->active_open ? 1 : 0);
}

// --- descriptors over unix sockets ---

namespace {
constexpr std::size_t kDescriptorsACall = 16;
using ControlBuffer = std::array<char, CMSG_SPACE(kDescriptorsACall * sizeof(int))>;

void collect_descriptors(msghdr& message, std::vector<UniqueFd>& into) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int descriptor;
      std::memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof descriptor);
      into.emplace_back(descriptor);
    }
  }
}

ssize_t send_descriptors(int socket, std::span<const char> bytes, std::span<const int> descriptors) {
  alignas(cmsghdr) ControlBuffer control{};
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t receive_descriptors(int socket, std::span<char> into, std::vector<UniqueFd>& descriptors) {
  alignas(cmsghdr) ControlBuffer control{};
  iovec part{into.data(), into.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t count = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (count >= 0) collect_descriptors(message, descriptors);
  if (count >= 0 && (message.msg_flags & MSG_CTRUNC)) {
    errno = EMSGSIZE;
    return -1;
  }
  return count;
}
}  // namespace

Task<Result<void>> Stream::send_with_fds(std::span<const char> bytes, std::span<const int> descriptors,
                                         TimePoint deadline) {
  if (bytes.empty() || descriptors.size() > kDescriptorsACall || is_tls()) {
    co_return fail(Code::unsupported, Blame::internal, "send_with_fds");
  }
  while (!bytes.empty()) {
    auto ready = co_await wait_writable(deadline);
    if (!ready) co_return std::unexpected(ready.error());
    const ssize_t count = send_descriptors(descriptor(), bytes, descriptors);
    if (count < 0) {
      const int sys_errno = errno;
      if (sys_errno == EAGAIN) socket_->writable = false;
      if (sys_errno == EAGAIN || sys_errno == EINTR) continue;
      co_return std::unexpected(socket_->error_of(sys_errno, "sendmsg"));
    }
    socket_->sent += static_cast<std::size_t>(count);
    descriptors = {};
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  co_return Result<void>();
}

Task<Result<std::size_t>> Stream::recv_with_fds(std::span<char> into, std::vector<UniqueFd>& descriptors,
                                                TimePoint deadline) {
  if (is_tls()) co_return fail(Code::unsupported, Blame::internal, "recv_with_fds");
  while (true) {
    auto ready = co_await wait_readable(deadline);
    if (!ready) co_return std::unexpected(ready.error());
    const ssize_t count = receive_descriptors(descriptor(), into, descriptors);
    if (count < 0) {
      const int sys_errno = errno;
      if (sys_errno == EAGAIN) socket_->readable = Level::no;
      if (sys_errno == EAGAIN || sys_errno == EINTR) continue;
      co_return std::unexpected(socket_->error_of(sys_errno, "recvmsg"));
    }
    // A message with descriptors ends a call even when more bytes wait behind it.
    if (count > 0) socket_->readable = Level::maybe;
    socket_->received += static_cast<std::size_t>(count);
    co_return static_cast<std::size_t>(count);
  }
}

// --- hang-ups ---

HangupGuard::HangupGuard(Stream& stream, HalfClose half_close)
    : socket_(stream.socket_), strand_(socket_->worker.running()), half_close_(half_close) {
  VCHECK(strand_ && !socket_->guard);
  socket_->guard = this;
  socket_->check_hang_up();
}

HangupGuard::~HangupGuard() {
  if (socket_) socket_->guard = nullptr;
}

}  // namespace vignette::net
