#include "net/listener.h"

#include <event2/event.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "base/check.h"
#include "net/handshake.h"
#include "net/socket.h"
#include "net/tls_context.h"
#include "net/worker.h"

namespace vignette::net {
namespace {

constexpr int kAcceptsAWake = 16;
constexpr std::chrono::milliseconds kFirstPause{100};
constexpr std::chrono::milliseconds kLongestPause{1600};

std::unexpected<Error> listen_error(int sys_errno, const char* where) {
  Code code = Code::io;
  if (sys_errno == EACCES || sys_errno == EPERM) code = Code::denied;
  if (sys_errno == EADDRINUSE || sys_errno == EADDRNOTAVAIL) code = Code::unavailable;
  if (sys_errno == EMFILE || sys_errno == ENFILE) code = Code::exhausted;
  return fail(code, Blame::internal, where, sys_errno);
}

bool out_of_resources(int sys_errno) {
  return sys_errno == EMFILE || sys_errno == ENFILE || sys_errno == ENOBUFS || sys_errno == ENOMEM;
}

void enable(int descriptor, int level, int option, int value = 1) {
  ::setsockopt(descriptor, level, option, &value, sizeof value);
}

// A socket file that nobody listens on is left over from a crash.
bool stale(const Address& address) {
  struct stat info;
  if (::lstat(address.path().c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  sockaddr_storage storage;
  const socklen_t length = address.to_sockaddr(storage);
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0 &&
         errno == ECONNREFUSED;
}

// Drops what asks for a new connection. Such a client asks again a second later, and is refused by then.
void ignore_new_connections(int descriptor) {
  constexpr std::uint32_t kFlags = 13;  // of the TCP header, where the filter begins
  constexpr std::uint32_t kSynOrAck = 0x12;
  constexpr std::uint32_t kSyn = 0x02;
  sock_filter steps[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFlags),
                         BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kSynOrAck),
                         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kSyn, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
                         BPF_STMT(BPF_RET | BPF_K, 0xffffffff)};
  const sock_fprog program{std::size(steps), steps};
  ::setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

Address bound_address(int descriptor) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), length);
}

}  // namespace

struct Listener::Impl {
  UniqueFd descriptor;
  Address address;
  Worker* worker = nullptr;
  OnDescriptor deliver;
  event* readable = nullptr;
  event* pause = nullptr;
  std::chrono::milliseconds pause_for = kFirstPause;

  ~Impl() {
    if (readable) event_free(readable);
    if (pause) event_free(pause);
  }
  void start(Worker& owner, OnDescriptor on_descriptor);
  void accept_some(int most);
  void back_off();
};

void Listener::Impl::start(Worker& owner, OnDescriptor on_descriptor) {
  VCHECK(!worker);
  worker = &owner;
  deliver = std::move(on_descriptor);
  readable = event_new(
      owner.base(), descriptor.get(), EV_READ | EV_PERSIST,
      [](evutil_socket_t, short, void* argument) {
        auto& self = *static_cast<Impl*>(argument);
        Worker& loop = *self.worker;
        loop.enter();
        self.accept_some(kAcceptsAWake);
        loop.drain();
      },
      this);
  pause = event_new(
      owner.base(), -1, 0,
      [](evutil_socket_t, short, void* argument) {
        event_add(static_cast<Impl*>(argument)->readable, nullptr);
      },
      this);
  VCHECK(readable && pause && event_add(readable, nullptr) == 0);
}

void Listener::Impl::accept_some(int most) {
  for (int i = 0; i < most; ++i) {
    sockaddr_storage storage;
    socklen_t length = sizeof storage;
    UniqueFd accepted(::accept4(descriptor.get(), reinterpret_cast<sockaddr*>(&storage), &length,
                                SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!accepted) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (out_of_resources(errno)) back_off();
      return;
    }
    pause_for = kFirstPause;
    worker->counters().accepted.fetch_add(1, std::memory_order_relaxed);
    deliver(std::move(accepted), Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), length));
  }
}

// The connections wait in the kernel's queue meanwhile; spinning on the level would burn the core.
void Listener::Impl::back_off() {
  worker->counters().accept_exhausted.fetch_add(1, std::memory_order_relaxed);
  event_del(readable);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(pause_for).count();
  const timeval wait{micros / 1'000'000, micros % 1'000'000};
  event_add(pause, &wait);
  pause_for = std::min(pause_for * 2, kLongestPause);
}

Listener::Listener() = default;
Listener::Listener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listener::Listener(Listener&&) noexcept = default;
Listener& Listener::operator=(Listener&& other) noexcept {
  if (this != &other) {
    close();
    impl_ = std::move(other.impl_);
  }
  return *this;
}
Listener::~Listener() { close(); }

Result<Listener> Listener::open(const Address& address, const ListenOptions& options) {
  sockaddr_storage storage;
  const socklen_t length = address.to_sockaddr(storage);
  if (length == 0) return fail(Code::malformed, Blame::internal, "not an address to listen on");
  UniqueFd descriptor(::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!descriptor) return listen_error(errno, "socket");
  const int fd = descriptor.get();
  if (address.is_unix()) {
    if (stale(address)) ::unlink(address.path().c_str());
  } else {
    enable(fd, SOL_SOCKET, SO_REUSEADDR);
    if (options.reuse_port) enable(fd, SOL_SOCKET, SO_REUSEPORT);
    if (address.family() == Family::v6) enable(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.v6_only);
    enable(fd, IPPROTO_TCP, TCP_NODELAY);  // accepted sockets inherit it
    if (options.defer_accept > 0) enable(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, options.defer_accept);
  }
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&storage), length) != 0)
    return listen_error(errno, "bind");
  if (address.is_unix() && ::chmod(address.path().c_str(), static_cast<mode_t>(options.unix_mode)) != 0) {
    return listen_error(errno, "chmod");
  }
  if (::listen(fd, options.backlog) != 0) return listen_error(errno, "listen");
  return adopt(std::move(descriptor));
}

Result<void> Listener::check_free(const Address& address) {
  sockaddr_storage storage;
  const socklen_t length = address.to_sockaddr(storage);
  const UniqueFd probe(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!probe) return listen_error(errno, "socket");
  enable(probe.get(), SOL_SOCKET, SO_REUSEADDR);
  if (address.family() == Family::v6) enable(probe.get(), IPPROTO_IPV6, IPV6_V6ONLY);
  if (::bind(probe.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) {
    return listen_error(errno, "bind");
  }
  return {};
}

Result<Listener> Listener::adopt(UniqueFd descriptor) {
  auto impl = std::make_unique<Impl>();
  impl->address = bound_address(descriptor.get());
  if (impl->address.family() == Family::none) return listen_error(errno, "getsockname");
  impl->descriptor = std::move(descriptor);
  return Listener(std::move(impl));
}

const Address& Listener::address() const { return impl_->address; }
int Listener::descriptor() const { return impl_ ? impl_->descriptor.get() : -1; }

void Listener::serve(Worker& worker, OnConnection on_connection) {
  serve_descriptors(
      worker, [&worker, deliver = std::move(on_connection)](UniqueFd accepted, const Address& peer) mutable {
        auto stream = StreamAccess::adopt(worker, std::move(accepted), Blame::client, &peer);
        if (stream) deliver(std::move(*stream));
      });
}

void Listener::serve_descriptors(Worker& worker, OnDescriptor on_descriptor) {
  impl_->start(worker, std::move(on_descriptor));
}

void Listener::close() {
  const std::unique_ptr<Impl> impl = std::move(impl_);
  if (!impl || !impl->worker) return;
  // Otherwise one that arrives between the last accept and the close would be reset.
  if (!impl->address.is_unix()) ignore_new_connections(impl->descriptor.get());
  impl->accept_some(std::numeric_limits<int>::max());
}

Task<Result<Stream>> tls_accept(Stream stream, const TlsServer& server, TimePoint deadline,
                                std::string* reason) {
  Socket& socket = StreamAccess::socket(stream);
  socket.tls = TlsSession::create(socket, server.impl().contexts.front().get());
  if (!socket.tls) co_return fail(Code::exhausted, Blame::internal, "SSL_new");
  SSL_set_accept_state(socket.tls->ssl());
  auto done = co_await shake_hands(stream, deadline, reason);
  if (!done) co_return std::unexpected(done.error());
  co_return std::move(stream);
}

}  // namespace vignette::net
