#include "proxy/client/connection.h"

#include "net/listener.h"
#include "proxy/client/client_facts.h"
#include "proxy/client/h1_connection.h"
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
  facts.peer_port = peer.port();
  facts.local_port = stream.local().port();
  facts.redirect_https_port = redirect_https_port;
  return facts;
}

net::Task<void> serve_connection(WorkerContext& context, net::Stream stream, bool tls,
                                 std::optional<std::uint16_t> redirect_https_port) {
  OpenCount open(context.node.metrics.connections_open);
  ClientFacts facts = facts_of(stream, redirect_https_port);
  if (tls) {
    if (context.index >= context.snapshot->tls.size()) co_return;  // a reload took TLS away
    std::shared_ptr<const net::TlsServer> server = context.snapshot->tls[context.index];
    TimePoint deadline = context.loop.now() + context.snapshot->config->timeouts.header;
    auto secured = co_await net::tls_accept(std::move(stream), *server, deadline);
    if (!secured) {
      context.node.metrics.connections_refused.add(context.index);
      context.node.log.debug("tls handshake failed: {}", secured.error().where);
      co_return;
    }
    stream = std::move(*secured);
    facts.tls = true;
    facts.tls_version = tls_version_name(stream.tls_info());
  }
  H1Connection connection(context, std::move(stream), facts);
  co_await connection.run();
}

}  // namespace

void start_connection(WorkerContext& context, net::Stream stream, const conf::Listener& listener) {
  context.node.metrics.connections_accepted.add(context.index);
  context.loop.spawn_named("connection", serve_connection, std::ref(context), std::move(stream), listener.tls,
                           listener.redirect_https_port);
}

}  // namespace vignette::proxy
