#include "proxy/origin/server_registry.h"

#include <algorithm>

#include "base/json.h"
#include "proxy/origin/s3_state.h"

namespace vignette::proxy {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

TimePoint time_of(Duration::rep ticks) { return TimePoint(Duration(ticks)); }

std::string describe_error(const Error& error) {
  std::string text(error.where);
  if (!text.empty()) text += ": ";
  return text + explain(error);
}

}  // namespace

ServerState::ServerState(OriginState& origin, std::string address, Metrics& metrics, const Clock& clock)
    : origin_(origin),
      address_(std::move(address)),
      clock_(clock),
      requests_(metrics.counter("vignette_origin_requests_total",
                                "Requests sent to origin servers, retries included.",
                                {{"origin", origin.name()}, {"server", address_}})),
      failures_(metrics.counter("vignette_origin_failures_total",
                                "Requests to origin servers that got no usable answer, or 502, 503 or 504.",
                                {{"origin", origin.name()}, {"server", address_}})),
      up_gauge_(metrics.callback(MetricType::gauge, "vignette_origin_up",
                                 "Whether an origin server may be asked.",
                                 {{"origin", origin.name()}, {"server", address_}},
                                 [this] { return is_up(clock_.now()) ? 1.0 : 0.0; })) {}

bool ServerState::is_ejected(TimePoint now) const {
  Duration::rep until = ejected_until_.load(kRelaxed);
  return until != 0 && now < time_of(until);
}

bool ServerState::connect_failed_lately(TimePoint now) const {
  Duration::rep at = connect_failed_at_.load(kRelaxed);
  return at != 0 && now < time_of(at) + kConnectPause;
}

std::string_view ServerState::state(TimePoint now) const {
  switch (active()) {
    case ActiveHealth::probing:
      return "probing";
    case ActiveHealth::down:
      return "down";
    case ActiveHealth::unchecked:
    case ActiveHealth::up:
      break;
  }
  return is_ejected(now) ? "ejected" : "up";
}

void ServerState::readmit() {
  errors_in_a_row_.store(0, kRelaxed);
  ejections_.store(0, kRelaxed);
  ejected_until_.store(0, kRelaxed);
  connect_failed_at_.store(0, kRelaxed);
}

// Writes only what changes: a line that all workers read stays in all their caches.
void ServerState::connected() {
  if (connect_failed_at_.load(kRelaxed) != 0) connect_failed_at_.store(0, kRelaxed);
}

void ServerState::connect_failed(const Error& error, TimePoint now) {
  connect_failed_at_.store(std::max<Duration::rep>(now.time_since_epoch().count(), 1), kRelaxed);
  remember(error);
}

void ServerState::succeeded() {
  if (errors_in_a_row_.load(kRelaxed) != 0) errors_in_a_row_.store(0, kRelaxed);
}

bool ServerState::failed(const Error& error, TimePoint now) {
  remember(error);
  if (errors_in_a_row_.fetch_add(1, kRelaxed) + 1 < kErrorsToEject) return false;
  if (is_ejected(now) || !origin_.may_eject(now)) return false;
  // Requests that were under way when it was ejected have been counted too; it begins anew afterwards.
  errors_in_a_row_.store(0, kRelaxed);
  bool forgiven = now > time_of(ejected_until_.load(kRelaxed)) + kMaxEjection;
  std::uint32_t count = forgiven ? 1 : ejections_.load(kRelaxed) + 1;
  ejections_.store(count, kRelaxed);
  ejected_until_.store((now + ejection()).time_since_epoch().count(), kRelaxed);
  return true;
}

Duration ServerState::ejection() const {
  return std::min<Duration>(kEjection * ejections_.load(kRelaxed), kMaxEjection);
}

void ServerState::remember(const Error& error) {
  std::lock_guard lock(mutex_);
  last_error_ = error;
  has_error_ = true;
}

std::string ServerState::last_error() const {
  std::lock_guard lock(mutex_);
  return has_error_ ? describe_error(last_error_) : std::string();
}

void ServerState::describe(std::uint32_t weight, bool backup) {
  weight_.store(weight, kRelaxed);
  backup_.store(backup, kRelaxed);
}

OriginState::OriginState(std::string name, std::size_t slot, Metrics& metrics)
    : name_(std::move(name)),
      slot_(slot),
      metrics_(metrics),
      duration_(metrics.histogram("vignette_origin_duration_seconds",
                                  "From the start of a fetch to the head of the answer, by origin.",
                                  {{"origin", name_}})) {}

OriginState::~OriginState() = default;

S3State& OriginState::s3() {
  std::lock_guard lock(mutex_);
  if (!s3_) s3_ = std::make_unique<S3State>(name_, metrics_);
  return *s3_;
}

std::vector<std::shared_ptr<ServerState>> OriginState::in_use() const {
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<ServerState>> used;
  for (const auto& server : servers_) {
    if (server.use_count() > 1) used.push_back(server);
  }
  return used;
}

bool OriginState::may_eject(TimePoint now) const {
  auto servers = in_use();
  auto ejected = static_cast<std::size_t>(
      std::ranges::count_if(servers, [now](const auto& server) { return server->is_ejected(now); }));
  return ejected == 0 || (ejected + 1) * 10 <= servers.size() * 3;
}

ServerRegistry::ServerRegistry(Metrics& metrics, const Clock* clock)
    : metrics_(metrics), clock_(clock ? *clock : system_clock_) {}

ServerRegistry::~ServerRegistry() = default;

OriginState& ServerRegistry::origin_locked(std::string_view name) {
  auto found = origins_.find(name);
  if (found == origins_.end()) {
    auto made = std::make_unique<OriginState>(std::string(name), origins_.size(), metrics_);
    found = origins_.emplace(std::string(name), std::move(made)).first;
  }
  return *found->second;
}

OriginState& ServerRegistry::origin(std::string_view name) {
  std::lock_guard lock(mutex_);
  return origin_locked(name);
}

std::shared_ptr<ServerState> ServerRegistry::server(std::string_view origin, std::string_view address) {
  std::lock_guard lock(mutex_);
  OriginState& state = origin_locked(origin);
  std::lock_guard servers(state.mutex_);
  for (const auto& server : state.servers_) {
    if (server->address() == address) return server;
  }
  state.servers_.push_back(std::make_shared<ServerState>(state, std::string(address), metrics_, clock_));
  return state.servers_.back();
}

std::string ServerRegistry::status_json() const {
  std::string text;
  JsonWriter json(text);
  TimePoint now = clock_.now();
  std::lock_guard lock(mutex_);
  json.begin_array();
  for (const auto& [name, origin] : origins_) {
    auto servers = origin->in_use();
    if (servers.empty()) continue;
    json.begin_object().field("name", name).key("servers").begin_array();
    for (const auto& server : servers) {
      json.begin_object().field("address", server->address()).field("state", server->state(now));
      json.field("weight", server->weight()).field("backup", server->backup());
      json.field("in_flight", server->in_flight());
      json.field("requests", server->requests()).field("failures", server->failures());
      json.field("last_error", server->last_error()).end_object();
    }
    json.end_array().end_object();
  }
  json.end_array();
  return text;
}

}  // namespace vignette::proxy
