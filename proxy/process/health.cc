#include "proxy/process/health.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <string>

#include "proxy/node.h"
#include "proxy/origin/http_connection.h"
#include "proxy/origin/servers_origin.h"

namespace vignette::proxy {
namespace {

constexpr int kJitterPercent = 20;

}  // namespace

// What the strands hold, so that they may outlive the checker.
struct HealthChecker::Shared {
  Shared(Node& shared_node, net::Worker& loop) : node(shared_node), worker(loop), pools(loop) {}
  Node& node;
  net::Worker& worker;
  OriginPools pools;  // names and jitter; probes never reuse a connection
};

struct HealthChecker::Probe {
  SnapshotRef snapshot;  // keeps `origin` alive
  const ServersOrigin* origin = nullptr;
  std::size_t index = 0;
  net::StrandRef strand;
  std::uint32_t good = 0;  // in a row
  std::uint32_t bad = 0;
  bool seen_up = false;

  const Endpoint& endpoint() const { return origin->endpoints()[index]; }
  const conf::HealthOptions& options() const { return *origin->options().health; }
};

namespace {

std::string host_of(const conf::Address& address) {
  return address.kind == conf::Address::Kind::tcp ? address.to_string() : "localhost";
}

// Everything a probe needs while it is under way: the configuration may change meanwhile.
struct Question {
  SnapshotRef snapshot;
  const Endpoint& endpoint;
  std::string path;
  std::string host;
  Duration timeout;
};

// The status, or why there is none.
net::Task<Result<int>> ask(OriginPools& pools, net::Worker& worker, const Question& question) {
  TimePoint deadline = worker.now() + question.timeout;
  auto connection = co_await pools.connect(question.endpoint, deadline);
  if (!connection) co_return std::unexpected(connection.error());
  http::FieldList fields;
  fields.add(http::FieldId::user_agent, "vignette-health");
  fields.add(http::FieldId::connection, "close");
  OriginRequest request;
  std::string_view path = question.path;
  std::size_t mark = path.find('?');
  request.path = path.substr(0, mark);
  request.has_query = mark != std::string_view::npos;
  if (request.has_query) request.query = path.substr(mark + 1);
  request.host = question.host;
  request.fields = &fields;
  TransactOptions options{.first_byte = deadline - worker.now(), .reusable = false};
  OriginResponse response;
  TransactProgress progress;
  auto done = co_await transact(std::move(*connection), request, options, response, progress);
  if (!done) co_return std::unexpected(done.error());
  co_return response.head->status;
}

bool is_good(const Result<int>& answer) { return answer && *answer >= 200 && *answer < 400; }

std::string why(const Result<int>& answer) {
  if (answer) return fmt::format("answered {}", *answer);
  return fmt::format("{} ({})", explain(answer.error()), answer.error().where);
}

}  // namespace

HealthChecker::HealthChecker(Node& node, net::Worker& main_loop)
    : loop_(main_loop), shared_(std::make_shared<Shared>(node, main_loop)) {}

HealthChecker::~HealthChecker() {
  for (auto& [state, probe] : probes_) probe->strand.cancel();
}

void HealthChecker::take(const std::shared_ptr<Shared>& shared, Probe& probe, const Result<int>& answer) {
  const Endpoint& endpoint = probe.endpoint();
  ServerState& state = *endpoint.state;
  Logger& log = shared->node.log;
  const ActiveHealth before = state.active();
  if (is_good(answer)) {
    probe.bad = 0;
    ++probe.good;
    if (before == ActiveHealth::up || (probe.seen_up && probe.good < probe.options().rise)) return;
    probe.seen_up = true;
    state.set_active(ActiveHealth::up);
    state.readmit();
    log.info("origin {}: server {} is up (health check {})", probe.origin->name(), state.address(),
             why(answer));
    return;
  }
  probe.good = 0;
  ++probe.bad;
  if (before == ActiveHealth::down || probe.bad < probe.options().fall) return;
  state.set_active(ActiveHealth::down);
  log.warn("origin {}: server {} is down after {} failed health checks: {}", probe.origin->name(),
           state.address(), probe.bad, why(answer));
}

net::Task<void> HealthChecker::probe_strand(std::shared_ptr<Shared> shared, std::shared_ptr<Probe> probe) {
  for (;;) {
    TimePoint started = shared->worker.now();
    {
      const conf::OriginServer& server = probe->origin->options().servers[probe->index];
      Question question{probe->snapshot, probe->endpoint(), probe->options().path, host_of(server.address),
                        probe->options().timeout};
      auto answer = co_await ask(shared->pools, shared->worker, question);
      // A reload may have ended this probe in the same turn: its answer says nothing any more.
      net::Strand& self = co_await net::this_strand();
      if (self.cancelled()) co_return;
      take(shared, *probe, answer);
    }
    // Never later than promised: `fall` intervals and a time-out after its death a server is out.
    Duration interval = probe->options().interval;
    Duration spread = interval * kJitterPercent / 100;
    auto slept = co_await net::sleep_until(started + shared->pools.jitter(interval - spread, interval));
    if (!slept) co_return;
  }
}

void HealthChecker::add(const SnapshotRef& snapshot, const ServersOrigin& origin, std::size_t index) {
  ServerState& state = *origin.endpoints()[index].state;
  std::shared_ptr<Probe>& probe = probes_[&state];
  bool is_new = !probe;
  if (is_new) probe = std::make_shared<Probe>();
  probe->snapshot = snapshot;
  probe->origin = &origin;
  probe->index = index;
  if (!is_new) return;
  state.set_active(ActiveHealth::probing);
  probe->strand = loop_.spawn_named("health", probe_strand, shared_, probe);
}

void HealthChecker::apply(SnapshotRef snapshot) {
  std::set<const ServerState*> wanted;
  for (const auto& [name, origin] : snapshot->origins) {
    if (origin->kind() != Origin::Kind::servers) continue;
    const auto& servers = static_cast<const ServersOrigin&>(*origin);
    for (std::size_t i = 0; i < servers.endpoints().size(); ++i) {
      ServerState& state = *servers.endpoints()[i].state;
      const conf::OriginServer& options = servers.options().servers[i];
      state.describe(options.weight, options.backup);
      if (!servers.options().health) {
        state.set_active(ActiveHealth::unchecked);
        continue;
      }
      wanted.insert(&state);
      add(snapshot, servers, i);
    }
  }
  std::erase_if(probes_, [&](auto& entry) {
    if (wanted.contains(entry.first)) return false;
    entry.second->strand.cancel();
    return true;
  });
}

}  // namespace vignette::proxy
