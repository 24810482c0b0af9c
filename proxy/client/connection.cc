#include "proxy/client/connection.h"

#include <array>
#include <optional>
#include <string>

#include "net/listener.h"
#include "net/proxy_header.h"
#include "proxy/client/client_facts.h"
#include "proxy/client/h1_connection.h"
#include "proxy/client/h2_connection.h"
#include "proxy/policy/client_address.h"
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

// What a connection has to know of its listener, which a reload may change or take away.
struct Accepted {
  bool tls = false;
  bool http2 = false;
  bool asks_certificate = false;
  bool proxy_protocol = false;
  std::optional<std::uint16_t> redirect_https_port;
};

constexpr conf::IpBytes kThisHost{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127, 0, 0, 1};

void set_ends(ClientFacts& facts, const net::Address& peer, const net::Address& local) {
  const bool is_ip = peer.family() == net::Family::v4 || peer.family() == net::Family::v6;
  facts.peer = is_ip ? peer.ip().bytes() : kThisHost;
  facts.peer_port = peer.port();
  facts.local = is_ip ? local.ip().bytes() : kThisHost;
  facts.local_port = local.port();
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

// Closed without a word: the reason is for metrics and, now and then, for the log.
void refuse_connection(WorkerContext& context, const ClientFacts& facts, std::string_view reason) {
  context.node.metrics.connection_refused(context.index, reason);
  if (auto skipped = context.refused_connections.admit()) {
    context.node.log.warn("connection of {} closed: {} ({} more since the last line)",
                          ip_to_string(facts.peer), reason, *skipped);
  }
}

std::string_view proxy_reason(const Error& error) {
  if (error.code == Code::malformed) return error.where;
  return error.code == Code::timeout ? "proxy_timeout" : "proxy_missing";
}

// A check whether we listen says nothing and goes, which is no fault.
bool is_proxy_fault(const Error& error, net::Stream& stream) {
  if (error.code == Code::closed) return stream.idle_state() == net::IdleState::dirty;
  return error.code == Code::malformed || error.code == Code::timeout;
}

// Whose connection it is, from the hop in front. False: it ends here.
net::Task<bool> take_proxy_header(WorkerContext& context, net::Stream& stream, ClientFacts& facts,
                                  TimePoint deadline) {
  auto header = co_await net::read_proxy_header(stream, deadline);
  if (header && header->is_relayed()) set_ends(facts, header->client, header->local);
  if (!header && is_proxy_fault(header.error(), stream)) {
    refuse_connection(context, facts, proxy_reason(header.error()));
  }
  co_return header.has_value();
}

net::Task<bool> take_tls(WorkerContext& context, net::Stream& stream, ClientFacts& facts,
                         std::shared_ptr<const net::TlsServer> server, bool asks_certificate) {
  if (!server) {  // a reload took TLS away
    refuse_connection(context, facts, "no_tls");
    co_return false;
  }
  const conf::Config& config = *context.snapshot->config;
  Place place(context.node.clients.handshakes, config.limits.handshakes);
  if (!place) {
    refuse_connection(context, facts, "too_many_handshakes");
    co_return false;
  }
  const TimePoint deadline = context.loop.now() + config.timeouts.handshake;
  auto secured = co_await net::tls_accept(std::move(stream), *server, deadline);
  if (!secured) {
    context.node.metrics.handshake_failed(context.index, secured.error().code);
    context.node.log.debug("connection of {}: tls handshake failed: {}", ip_to_string(facts.peer),
                           secured.error().where);
    co_return false;
  }
  stream = std::move(*secured);
  context.node.metrics.handshake(context.index, stream.tls_info());
  facts.tls = true;
  facts.tls_version = tls_version_name(stream.tls_info());
  facts.tls_server = std::move(server);
  if (asks_certificate) {
    facts.certificate = std::make_shared<const net::PeerCertificate>(
        stream.peer_certificate().value_or(net::PeerCertificate()));
  }
  co_return true;
}

// The client's place among its own connections; nothing where there is no such limit for it.
std::optional<ClientPlace> take_client_place(WorkerContext& context, const ClientFacts& facts) {
  const conf::Config& config = *context.snapshot->config;
  const std::uint64_t most = config.limits.connections_per_client;
  if (most == 0 || in_networks(config.server.trusted, facts.peer)) return std::nullopt;
  return std::optional<ClientPlace>(std::in_place, context.node.clients.connections_of, client_of(facts.peer),
                                    most);
}

net::Task<void> serve_connection(WorkerContext& context, net::Stream stream, Accepted accepted,
                                 std::shared_ptr<const net::TlsServer> server) {
  OpenCount open(context.node.metrics.connections_open);
  ClientFacts facts;
  set_ends(facts, stream.peer(), stream.local());
  facts.redirect_https_port = accepted.redirect_https_port;
  Place place(context.node.clients.connections, context.snapshot->config->limits.connections);
  if (!place) co_return refuse_connection(context, facts, "too_many_connections");
  const TimePoint deadline = context.loop.now() + context.snapshot->config->timeouts.header;
  if (accepted.proxy_protocol) {
    auto taken = co_await take_proxy_header(context, stream, facts, deadline);
    if (!taken) co_return;
  }
  std::optional<ClientPlace> own_place = take_client_place(context, facts);
  if (own_place && !*own_place) co_return refuse_connection(context, facts, "too_many_of_client");
  std::string received;
  bool is_http2 = false;
  if (accepted.tls) {
    auto secured = co_await take_tls(context, stream, facts, std::move(server), accepted.asks_certificate);
    if (!secured) co_return;
    is_http2 = stream.tls_info().alpn == "h2";
  } else if (accepted.http2) {
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
  if (listener.proxy_protocol) {
    ClientFacts facts;
    set_ends(facts, stream.peer(), {});
    if (!in_networks(listener.proxy_from, facts.peer)) {
      return refuse_connection(context, facts, "proxy_untrusted");
    }
  }
  const Accepted accepted{
      .tls = listener.tls,
      .http2 = listener.speaks_http2(),
      .asks_certificate = listener.mtls && listener.mtls->verify != conf::VerifyClients::off,
      .proxy_protocol = listener.proxy_protocol,
      .redirect_https_port = listener.redirect_https_port};
  auto server = listener.tls && context.tls ? context.tls->find(listener.address, context.index) : nullptr;
  context.loop.spawn_named("connection", serve_connection, std::ref(context), std::move(stream), accepted,
                           std::move(server));
}

}  // namespace vignette::proxy
