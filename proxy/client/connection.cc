#include "proxy/client/connection.h"

#include <array>
#include <string>

#include "net/listener.h"
#include "proxy/client/client_facts.h"
#include "proxy/client/h1_connection.h"
#include "proxy/client/h2_connection.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

// Counts the connection as open for as long as it lives.
class OpenCount {
 public:
  explicit OpenCount(Gauge& gauge) : gauge_(gauge) { gauge_.add(1); }
  ~OpenCount() { gauge_.add(-1); }
  OpenCount(const OpenCount&) = delete;
  OpenCount& operator=(const OpenCount&) = delete;

 private:
  Gauge& gauge_;
};

std::string_view tls_version_name(const net::TlsInfo& info) {
  return info.version == "TLSv1.3" ? "TLSv1.3" : "TLSv1.2";
}

ClientFacts facts_of(const net::Stream& stream, std::optional<std::uint16_t> redirect_https_port) {
  ClientFacts facts;
  net::Address peer = stream.peer();
  const bool is_unix = peer.is_unix() || peer.family() == net::Family::none;
  facts.peer = is_unix ? *conf::parse_ip("127.0.0.1") : stream.peer_ip().bytes();
  facts.local_port = stream.local().port();
  facts.redirect_https_port = redirect_https_port;
  return facts;
}

// How HTTP/2 begins where both sides knew of it before (RFC 9113 section 3.4). No request of HTTP/1.1 does.
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Reads until it can tell; what was read is in `received`. An error is met again by who goes on reading.
net::Task<bool> begins_with_preface(net::Stream& stream, TimePoint deadline, std::string& received) {
  while (received.size() < kPreface.size() && kPreface.starts_with(received)) {
    std::array<char, kPreface.size()> bytes;
    auto got = co_await stream.read(std::span(bytes).first(kPreface.size() - received.size()), deadline);
    if (!got || *got == 0) co_return false;
    received.append(bytes.data(), *got);
  }
  co_return received == kPreface;
}

struct Protocols {
  bool tls;
  bool http2;
};

net::Task<void> serve_connection(WorkerContext& context, net::Stream stream, Protocols protocols,
                                 std::optional<std::uint16_t> redirect_https_port) {
  OpenCount open(context.node.metrics.connections_open);
  ClientFacts facts = facts_of(stream, redirect_https_port);
  const TimePoint deadline = context.loop.now() + context.snapshot->config->timeouts.header;
  std::string received;
  bool is_http2 = false;
  if (protocols.tls) {
    const auto& servers = protocols.http2 ? context.snapshot->tls : context.snapshot->tls_http1;
    if (context.index >= servers.size()) co_return;  // a reload took TLS away
    std::shared_ptr<const net::TlsServer> server = servers[context.index];
    auto secured = co_await net::tls_accept(std::move(stream), *server, deadline);
    if (!secured) {
      context.node.metrics.connections_refused.add(context.index);
      context.node.log.debug("tls handshake failed: {}", secured.error().where);
      co_return;
    }
    stream = std::move(*secured);
    facts.tls = true;
    facts.tls_version = tls_version_name(stream.tls_info());
    is_http2 = stream.tls_info().alpn == "h2";
  } else if (protocols.http2) {
    is_http2 = co_await begins_with_preface(stream, deadline, received);
  }
  if (is_http2) {
    co_await H2Connection::run(context, std::move(stream), facts, std::move(received));
    co_return;
  }
  H1Connection connection(context, std::move(stream), facts, received);
  co_await connection.run();
}

}  // namespace

void start_connection(WorkerContext& context, net::Stream stream, const conf::Listener& listener) {
  context.node.metrics.connections_accepted.add(context.index);
  const Protocols protocols{.tls = listener.tls, .http2 = listener.speaks_http2()};
  context.loop.spawn_named("connection", serve_connection, std::ref(context), std::move(stream), protocols,
                           listener.redirect_https_port);
}

}  // namespace vignette::proxy
