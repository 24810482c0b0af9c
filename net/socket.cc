#include "net/socket.h"

#include <event2/event.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "net/worker.h"

namespace vignette::net {
namespace {

constexpr std::size_t kPartsACall = 64;

Code code_of(int sys_errno) {
  switch (sys_errno) {
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
    case ENOTCONN:
      return Code::reset;
    case ETIMEDOUT:
      return Code::timeout;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return Code::refused;
    case ENOBUFS:
    case ENOMEM:
      return Code::exhausted;
    default:
      return Code::io;
  }
}

}  // namespace

void consume(std::span<iovec>& parts, std::size_t count) {
  while (!parts.empty() && count >= parts.front().iov_len) {
    count -= parts.front().iov_len;
    parts.front().iov_base = static_cast<char*>(parts.front().iov_base) + parts.front().iov_len;
    parts.front().iov_len = 0;
    parts = parts.subspan(1);
  }
  if (count == 0) return;
  parts.front().iov_base = static_cast<char*>(parts.front().iov_base) + count;
  parts.front().iov_len -= count;
}

Socket::Socket(Worker& owner, UniqueFd fd, Blame whom, const Address* peer)
    : worker(owner), descriptor(std::move(fd)), blame(whom) {
  Address found;
  if (!peer) {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    if (::getpeername(descriptor.get(), reinterpret_cast<sockaddr*>(&storage), &length) == 0)
      found = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length);
    peer = &found;
  }
  family = peer->family();
  peer_ip = peer->ip();
  peer_port = peer->port();
}

bool Socket::watch() {
  constexpr short kAll = EV_ET | EV_PERSIST | EV_READ | EV_WRITE | EV_CLOSED;
  event_assign(
      &event_, worker.base(), descriptor.get(), kAll,
      [](evutil_socket_t, short what, void* self) { static_cast<Socket*>(self)->on_event(what); }, this);
  watched_ = event_add(&event_, nullptr) == 0;
  WorkerCounters& counters = worker.counters();
  (watched_ ? counters.streams : counters.unwatched).fetch_add(1, std::memory_order_relaxed);
  return watched_;
}

Socket::~Socket() {
  for (StreamOp* op : {reader, writer}) {
    if (op) op->fail(Code::cancelled);
  }
  if (guard) guard->socket_ = nullptr;
  if (!watched_) return;
  event_del(&event_);
  worker.counters().streams.fetch_sub(1, std::memory_order_relaxed);
}

// Touches nothing of its own after drain(), which may have destroyed this.
void Socket::on_event(short what) {
  Worker& loop = worker;
  loop.enter();
  if (what & EV_CLOSED) peer_closed = true;
  if (what & (EV_READ | EV_CLOSED)) readable = Level::yes;
  if (what & EV_WRITE) writable = true;
  if (reader && readable != Level::no) step(reader);
  if (writer) {
    step(writer);
  } else if (tls && writable && tls->has_unsent()) {
    Error ignored;
    tls->flush(ignored);  // the next operation meets the error again
  }
  end_when_sent();  // a read or a write may have sent the last of it
  if (guard) check_hang_up();
  loop.drain();
#ifdef VIGNETTE_MUTATION_TOUCH_AFTER_RESUME
  if (tls && writable) writable = true;
  peer_closed = peer_closed || (what & EV_CLOSED);
#endif
}

void Socket::step(StreamOp* op) {
  if (!op->attempt()) return;
  op->unhook();
  op->complete();
}

// A waiting read meets the end by itself; otherwise the kernel is asked whether the connection still stands.
void Socket::check_hang_up() {
  if (reset_seen) return hang_up();
  if (reader || readable != Level::yes) return;
  pollfd state{descriptor.get(), POLLRDHUP, 0};
  if (::poll(&state, 1, 0) <= 0) return;
  const bool gone = state.revents & (POLLERR | POLLHUP);
  const bool half = (state.revents & POLLRDHUP) && guard->half_close_ == HalfClose::cancel;
  if (gone || half) hang_up();
}

void Socket::hang_up() {
  guard->hung_up_ = true;
  guard->strand_->cancel();
}

Error Socket::error_of(int sys_errno, const char* where) {
  Error error{code_of(sys_errno), blame, Retry::no, sys_errno, where};
  if (error.code == Code::reset) {
    reset_seen = true;
    if (blame == Blame::origin) error.retry = Retry::if_reused;
  }
  return error;
}

Outcome Socket::receive(std::span<char> into, std::size_t& got, int& sys_errno) {
  if (readable == Level::no && !reset_may_hide()) return Outcome::blocked;
  ssize_t count;
  do {
    count = ::recv(descriptor.get(), into.data(), into.size(), 0);
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    if (errno == EAGAIN) {
      readable = Level::no;
      emptied = false;
      return Outcome::blocked;
    }
    sys_errno = errno;
    return Outcome::failed;
  }
  got = static_cast<std::size_t>(count);
  if (got > 0) {
    received += got;
    written_since_read = false;
    // A short read has emptied the queue; what comes later is a new edge. Only the end may hide behind it.
    readable = got == into.size() ? Level::maybe : peer_closed ? Level::yes : Level::no;
    emptied = readable == Level::no;
  }
  return Outcome::done;
}

Outcome Socket::send(const iovec* parts, std::size_t count, std::size_t& taken, int& sys_errno, bool more) {
  if (!writable) return Outcome::blocked;
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = std::min(count, kPartsACall);
  const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
  ssize_t done;
  do {
    // One part goes without the kernel's reading of a message header.
    done = count == 1 ? ::send(descriptor.get(), parts->iov_base, parts->iov_len, flags)
                      : ::sendmsg(descriptor.get(), &message, flags);
  } while (done < 0 && errno == EINTR);
  if (done < 0) {
    if (errno == EAGAIN) {
      writable = false;
      return Outcome::blocked;
    }
    sys_errno = errno;
    return Outcome::failed;
  }
  taken = static_cast<std::size_t>(done);
  note_sent(taken);
  return Outcome::done;
}

void Socket::note_sent(std::size_t count) {
  if (!written_since_read) {
    written_since_read = true;
    sent_before = sent;
  }
  sent += count;
}

Outcome Socket::read(std::span<char> into, std::size_t& got, Error& error) {
  if (tls) return tls->read(into, got, error);
  int sys_errno = 0;
  const Outcome outcome = receive(into, got, sys_errno);
  if (outcome == Outcome::failed) error = error_of(sys_errno, "recv");
  return outcome;
}

Outcome Socket::write(std::span<iovec>& parts, std::size_t& taken, Error& error, bool more) {
  if (tls) return tls->write(parts, taken, error);
  consume(parts, 0);
  while (!parts.empty()) {
    std::size_t count = 0;
    int sys_errno = 0;
    const Outcome outcome = send(parts.data(), parts.size(), count, sys_errno, more);
    if (outcome == Outcome::failed) error = error_of(sys_errno, "send");
    if (outcome != Outcome::done) return outcome;
    taken += count;
    std::size_t offered = 0;
    for (std::size_t i = 0; i < std::min(parts.size(), kPartsACall); ++i) offered += parts[i].iov_len;
    // The kernel took less than it was given: its buffer is full, and room is a new edge.
    if (count < offered) writable = false;
    consume(parts, count);
  }
  return Outcome::done;
}

// A short count says nothing of the buffer's room; only being refused does.
Outcome Socket::send_file(FileBytes& bytes, std::size_t& taken, Error& error) {
  VCHECK(!tls);
  while (bytes.size > 0) {
    if (!writable) return Outcome::blocked;
    auto offset = static_cast<off_t>(bytes.offset);
    const ssize_t done = ::sendfile(descriptor.get(), bytes.descriptor, &offset, bytes.size);
    if (done == 0) return Outcome::done;
    if (done < 0 && errno == EINTR) continue;
    if (done < 0 && errno == EAGAIN) {
      writable = false;
      return Outcome::blocked;
    }
    if (done < 0) {
      error = error_of(errno, "sendfile");
      return Outcome::failed;
    }
    const auto count = static_cast<std::size_t>(done);
    note_sent(count);
    taken += count;
    bytes.offset += count;
    bytes.size -= count;
  }
  return Outcome::done;
}

Outcome Socket::wait_raw_input(Error&) {
  if (readable != Level::maybe) return readable == Level::yes ? Outcome::done : Outcome::blocked;
  char byte;
  const ssize_t count = ::recv(descriptor.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  readable = count < 0 && errno == EAGAIN ? Level::no : Level::yes;
  return readable == Level::yes ? Outcome::done : Outcome::blocked;
}

Outcome Socket::wait_input(Error& error) {
  if (!tls) return wait_raw_input(error);
  Error met_again_by_read;
  const Outcome outcome = tls->peek(met_again_by_read);
  return outcome == Outcome::blocked ? outcome : Outcome::done;
}

Outcome Socket::wait_output(Error& error) {
  if (tls && tls->has_unsent()) return tls->flush(error);
  return writable ? Outcome::done : Outcome::blocked;
}

bool Socket::input_arrived() {
  Error ignored;
  return wait_input(ignored) == Outcome::done;
}

IdleState Socket::idle_state() {
  if (tls) {
    if (readable == Level::no) readable = Level::maybe;
    Error error;
    const Outcome outcome = tls->peek(error);
    if (outcome == Outcome::blocked) return IdleState::clean;
    return outcome == Outcome::done && tls->has_plain_bytes() ? IdleState::dirty : IdleState::closed;
  }
  char byte;
  const ssize_t count = ::recv(descriptor.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (count > 0) return IdleState::dirty;
  if (count < 0 && errno == EAGAIN) return IdleState::clean;
  return IdleState::closed;
}

void Socket::shutdown_write() {
  if (ending != Ending::no) return;
  ending = Ending::asked;
  if (tls) tls->send_close_notify();
  end_when_sent();
}

void Socket::end_when_sent() {
  if (ending != Ending::asked || (tls && tls->has_unsent())) return;
  ending = Ending::done;
  ::shutdown(descriptor.get(), SHUT_WR);
}

void Socket::abort_on_close() {
  const linger now{1, 0};
  ::setsockopt(descriptor.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

}  // namespace vignette::net
