// The life of a fetch: choose a server, take an idle connection or make one, exchange; after a failure decide
// whether the request may be sent again.
//
//   failure                                    idempotent     other methods
//   connect, TLS, DNS                          retry          retry
//   reused connection was dead                 same server, a fresh connection; others only when nothing ran
//   fresh connection died, no byte came        retry          only when nothing ran
//   time-out                                   retry, on another server only; others only when nothing ran
//   a short answer was cut off                 retry          never
//   a byte of another answer came: never
//   the request's body has begun to leave: only one that can be rewound
#include "proxy/origin/servers_origin.h"

#include <array>
#include <string>

#include "proxy/node.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

constexpr Duration kComplaintInterval = std::chrono::seconds(5);

bool is_gateway_error(int status) { return status == 502 || status == 503 || status == 504; }

const char* gateway_error(int status) {
  if (status == 502) return "answered 502";
  return status == 503 ? "answered 503" : "answered 504";
}

}  // namespace

struct ServersOrigin::Fetch {
  Fetch(WorkerContext& caller, const OriginRequest& asked_for) : context(caller), request(asked_for) {}

  WorkerContext& context;
  const OriginRequest& request;
  OriginResponse response;
  std::array<std::size_t, kRetries + 1> servers{};  // asked so far, the last one being the current
  std::size_t asked = 0;
  std::uint8_t attempts = 0;
  TransactProgress progress;
  Duration connect{};
  bool connected = false;
  bool reused = false;
  bool only_fresh = false;  // no idle connection for the next attempt
  std::string reason;       // of a failed TLS handshake, in words

  std::size_t server() const { return servers[asked - 1]; }
  TimePoint now() const { return context.loop.now(); }
  // The connection from the pool was dead, which says nothing about its server.
  bool was_stale(const Error& error) const {
    return reused && !progress.answered && error.retry == Retry::if_reused;
  }
  bool may_repeat(const Error& error) const {
    if (error.blame != Blame::origin || error.code == Code::cancelled) return false;
    if (!connected) return true;
    if (progress.answered) return false;
    return request.idempotent || progress.nothing_ran;
  }
  // Whether all of the body can be sent once more.
  bool rewind() const { return !progress.body_begun || request.body->rewind(); }
  // Asking the same server would only end in the same way.
  static bool only_elsewhere(const Error& error) {
    return error.code == Code::timeout || error.code == Code::tls;
  }
};

std::expected<std::unique_ptr<ServersOrigin>, std::string> ServersOrigin::create(const conf::Origin& options,
                                                                                 Node& node) {
  std::shared_ptr<const net::TlsClient> tls;
  if (options.tls) {
    auto made =
        net::TlsClient::create({.verify = options.tls->verify, .ca_file = options.tls->ca, .alpn = {}});
    if (!made) return std::unexpected(made.error());
    tls = std::move(*made);
  }
  return std::unique_ptr<ServersOrigin>(new ServersOrigin(options, node, std::move(tls)));
}

ServersOrigin::ServersOrigin(const conf::Origin& options, Node& node,
                             std::shared_ptr<const net::TlsClient> tls)
    : Origin(options.name, Kind::servers),
      options_(options),
      state_(node.servers.origin(options.name)),
      configuration_(node.servers.new_id()),
      complaints_(node.clock, kComplaintInterval) {
  std::string tls_name = options.tls ? options.tls->sni : "";
  endpoints_.reserve(options.servers.size());
  for (const conf::OriginServer& server : options.servers) {
    auto state = node.servers.server(options.name, server.address.to_string());
    endpoints_.emplace_back(std::move(state), server.address, tls, tls_name, options.timeouts.keep_alive)
        .proxy_protocol = options.proxy_protocol;
  }
}

std::unique_ptr<Balancer> ServersOrigin::make_balancer() const {
  std::vector<Balancer::Member> members;
  members.reserve(endpoints_.size());
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    members.push_back({endpoints_[i].state.get(), options_.servers[i].weight, options_.servers[i].backup});
  }
  return std::make_unique<Balancer>(std::move(members));
}

std::expected<Balancer::Choice, const char*> ServersOrigin::choose(Fetch& fetch) const {
  Balancer& balancer =
      fetch.context.pools.balancer(state_.slot(), configuration_, [this] { return make_balancer(); });
  return balancer.choose(fetch.now(), {fetch.servers.data(), fetch.asked});
}

std::optional<OriginConnection> ServersOrigin::idle_connection(Fetch& fetch) {
  if (fetch.only_fresh) return std::nullopt;
  const Endpoint& endpoint = endpoints_[fetch.server()];
  OriginPools& pools = fetch.context.pools;
  const bool once = !fetch.request.idempotent || fetch.request.body;
  const Viewer* viewer = fetch.request.viewer;
  return once ? pools.take_idle(endpoint, kFreshIdle, OriginPools::Check::kernel, viewer)
              : pools.take_idle(endpoint, endpoint.keep_alive, OriginPools::Check::flags, viewer);
}

net::Task<Result<OriginConnection>> ServersOrigin::connect(Fetch& fetch) {
  const TimePoint started = fetch.now();
  fetch.reason.clear();
  auto made = co_await fetch.context.pools.connect(
      endpoints_[fetch.server()], started + options_.timeouts.connect, &fetch.reason, fetch.request.viewer);
  fetch.connect = fetch.now() - started;
  fetch.connected = made.has_value();
  co_return made;
}

net::Task<Result<void>> ServersOrigin::attempt(Fetch& fetch) {
  ++fetch.attempts;
  fetch.progress = {};
  endpoints_[fetch.server()].state->count_request(fetch.context.index);
  fetch.connect = Duration::zero();
  std::optional<OriginConnection> connection = idle_connection(fetch);
  fetch.connected = fetch.reused = connection.has_value();
  if (!connection) {
    auto made = co_await connect(fetch);
    if (!made) co_return std::unexpected(made.error());
    connection = std::move(*made);
  }
  TransactOptions options{.first_byte = options_.timeouts.first_byte};
  auto done =
      co_await transact(std::move(*connection), fetch.request, options, fetch.response, fetch.progress);
  co_return done;
}

void ServersOrigin::blame(Fetch& fetch, const Error& error) {
  ServerState& server = *endpoints_[fetch.server()].state;
  Logger& log = fetch.context.node.log;
  server.count_failure(fetch.context.index);
  if (server.failed(error, fetch.now())) {
    log.warn("origin {}: server {} is left out for {} s after {} failures in a row, the last: {} ({})",
             name(), server.address(),
             std::chrono::duration_cast<std::chrono::seconds>(server.ejection()).count(),
             ServerState::kErrorsToEject, explain(error), error.where);
  } else if (auto skipped = complaints_.admit()) {
    std::string_view why = fetch.reason.empty() ? std::string_view(error.where) : fetch.reason;
    log.warn("origin {}: server {}: {} ({}), {} more failures since the last line", name(), server.address(),
             explain(error), why, *skipped);
  }
}

void ServersOrigin::judge(Fetch& fetch, const Result<void>& outcome) {
  ServerState& server = *endpoints_[fetch.server()].state;
  if (outcome) {
    int status = fetch.response.head->status;
    if (!is_gateway_error(status)) return server.succeeded();
    return blame(fetch, {Code::unavailable, Blame::origin, Retry::no, 0, gateway_error(status)});
  }
  const Error& error = outcome.error();
  if (error.blame == Blame::origin && error.code != Code::cancelled && !fetch.was_stale(error)) {
    blame(fetch, error);
  }
}

net::Task<Result<OriginResponse>> ServersOrigin::fetch(WorkerContext& context, const OriginRequest& request) {
  Fetch fetch(context, request);
  const TimePoint started = fetch.now();
  Error last{};
  bool same = false;  // the server of the attempt before, over a fresh connection
  for (;;) {
    if (!same) {
      if (fetch.asked == fetch.servers.size()) break;
      auto choice = choose(fetch);
      if (!choice && fetch.attempts > 0) break;
      if (!choice) co_return fail(Code::unavailable, Blame::origin, choice.error(), 0, Retry::yes);
      if (choice->again) {
        if (Fetch::only_elsewhere(last)) break;
        auto paused = co_await net::sleep_for(context.pools.jitter(kRetryPauseMin, kRetryPauseMax));
        if (!paused) co_return std::unexpected(paused.error());
      }
      fetch.servers[fetch.asked++] = choice->index;
    }
    auto outcome = co_await attempt(fetch);
    judge(fetch, outcome);
    if (outcome) {
      Duration elapsed = fetch.now() - started;
      state_.duration().record(context.index, elapsed);
      fetch.response.trace = {endpoints_[fetch.server()].state->address(), fetch.attempts, fetch.reused,
                              fetch.connect, elapsed};
      co_return std::move(fetch.response);
    }
    last = outcome.error();
    if (!fetch.may_repeat(last) || !fetch.rewind()) break;
    same = fetch.only_fresh = fetch.was_stale(last);
  }
  state_.duration().record(context.index, fetch.now() - started);
  co_return std::unexpected(last);
}

}  // namespace vignette::proxy
