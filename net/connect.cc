#include "net/connect.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cerrno>

#include "net/handshake.h"
#include "net/socket.h"
#include "net/tls_context.h"
#include "net/worker.h"

namespace vignette::net {
namespace {

std::unexpected<Error> connect_error(int sys_errno) {
  Code code = Code::io;
  switch (sys_errno) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ECONNRESET:
    case ENOENT:
    case ENOTDIR:
    case EAGAIN:  // a unix socket whose backlog is full
    case EACCES:
    case EPERM:
      code = Code::refused;
      break;
    case ETIMEDOUT:
      code = Code::timeout;
      break;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL:
      code = Code::exhausted;
      break;
    default:
      break;
  }
  const Blame blame = code == Code::exhausted || code == Code::io ? Blame::internal : Blame::origin;
  return fail(code, blame, "connect", sys_errno, Retry::yes);
}

// The name is what the certificate must cover, and what SNI says unless it is an address.
bool set_server_name(SSL* ssl, const std::string& name, bool verify) {
  if (name.empty()) return !verify;
  if (IpAddress::parse(name)) {
    return !verify || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) == 1;
  }
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set_tlsext_host_name(ssl, name.c_str()) == 1 &&
         (!verify || SSL_set1_host(ssl, name.c_str()) == 1);
}

}  // namespace

Task<Result<Stream>> connect(const Address& address, TimePoint deadline) {
  Worker& worker = co_await this_worker();
  sockaddr_storage storage;
  const socklen_t length = address.to_sockaddr(storage);
  if (length == 0) co_return fail(Code::malformed, Blame::internal, "connect: no address");
  UniqueFd descriptor(::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!descriptor) co_return connect_error(errno);
  if (!address.is_unix()) {
    const int on = 1;
    ::setsockopt(descriptor.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  const int result = ::connect(descriptor.get(), reinterpret_cast<const sockaddr*>(&storage), length);
  if (result != 0 && errno != EINPROGRESS) co_return connect_error(errno);
  auto stream = StreamAccess::adopt(worker, std::move(descriptor), Blame::origin, &address);
  if (!stream) co_return std::unexpected(stream.error());
  Socket& socket = StreamAccess::socket(*stream);
  socket.active_open = !address.is_unix();
  if (result == 0) co_return std::move(*stream);
  socket.writable = false;
  auto connected = co_await stream->wait_writable(deadline);
  if (!connected) {
    Error error = connected.error();
    error.where = "connect";
    if (error.code != Code::cancelled) error.retry = Retry::yes;
    co_return std::unexpected(error);
  }
  int sys_errno = 0;
  socklen_t size = sizeof sys_errno;
  ::getsockopt(stream->descriptor(), SOL_SOCKET, SO_ERROR, &sys_errno, &size);
  if (sys_errno != 0) co_return connect_error(sys_errno);
  socket.readable = Level::maybe;
  co_return std::move(*stream);
}

Task<Result<Stream>> tls_connect(Stream stream, const TlsClient& client, std::string_view server_name,
                                 TimePoint deadline, std::string* reason) {
  Socket& socket = StreamAccess::socket(stream);
  socket.tls = TlsSession::create(socket, client.impl().context.get());
  if (!socket.tls) co_return fail(Code::exhausted, Blame::internal, "SSL_new");
  SSL* ssl = socket.tls->ssl();
  SSL_set_connect_state(ssl);
  if (!set_server_name(ssl, std::string(server_name), client.impl().verify)) {
    co_return fail(Code::tls, Blame::internal, "not a name that a certificate can have");
  }
  auto done = co_await shake_hands(stream, deadline, reason);
  if (!done) co_return std::unexpected(done.error());
  co_return std::move(stream);
}

}  // namespace vignette::net
