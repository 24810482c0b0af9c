#include "proxy/origin/origin_pools.h"

#include <algorithm>
#include <array>

#include "net/connect.h"
#include "net/proxy_header.h"
#include "proxy/origin/balancer.h"

namespace vignette::proxy {
namespace {

// A name with many addresses is not tried to the end: other servers are waiting.
constexpr std::size_t kAddressesATry = 3;

Told told_by(const Endpoint& endpoint, const Viewer* viewer) {
  Told told;
  told.version = endpoint.proxy_protocol;
  if (viewer && told.version != conf::ProxyProtocol::off) told.viewer = viewer->address;
  return told;
}

net::Address address_of(const conf::IpBytes& ip, std::uint16_t port) {
  return {net::IpAddress::from_v6(ip.data()), port};
}

}  // namespace

struct OriginPools::Idle {
  net::Stream stream;
  std::shared_ptr<const net::TlsClient> tls;
  Told told;
  TimePoint last_used;
  Duration keep_alive;
};

struct OriginPools::Slot {
  std::uint64_t configuration = 0;
  std::unique_ptr<Balancer> balancer;
};

Endpoint::Endpoint(std::shared_ptr<ServerState> server, const conf::Address& where,
                   std::shared_ptr<const net::TlsClient> tls_client, std::string name, Duration idle_limit)
    : state(std::move(server)),
      port(where.port),
      tls(std::move(tls_client)),
      tls_name(std::move(name)),
      keep_alive(idle_limit) {
  if (where.kind == conf::Address::Kind::unix_socket) {
    address = net::Address::unix_socket(where.path);
  } else if (auto ip = net::IpAddress::parse(where.host)) {
    address = net::Address(*ip, where.port);
  } else {
    host = where.host;
  }
  if (tls_name.empty()) tls_name = where.host;
}

OriginConnection::OriginConnection(OriginPools& pools, const Endpoint& endpoint, const Viewer* viewer,
                                   net::Stream stream)
    : pools_(&pools),
      stream_(std::move(stream)),
      server_(endpoint.state.get()),
      in_flight_(server_),
      tls_(endpoint.tls),
      keep_alive_(endpoint.keep_alive),
      told_(told_by(endpoint, viewer)) {
  server_->begin_request();
}

void OriginConnection::give_back() && {
  in_flight_.reset();
  pools_->put(std::move(*this));
}

OriginPools::OriginPools(net::Worker& worker)
    : worker_(worker), names_(worker), random_(std::random_device()()) {}

OriginPools::~OriginPools() {
  sweeper_.cancel();
  close_idle();
}

std::size_t OriginPools::KeyHash::operator()(const Key& key) const {
  return std::hash<const void*>()(key.server) * 31 + std::hash<const void*>()(key.tls);
}

std::optional<OriginConnection> OriginPools::take_idle(const Endpoint& endpoint, Duration max_idle,
                                                       Check check, const Viewer* viewer) {
  auto found = pools_.find(Key{endpoint.state.get(), endpoint.tls.get()});
  if (found == pools_.end()) return std::nullopt;
  std::vector<Idle>& list = found->second;  // the oldest first
  const Told told = told_by(endpoint, viewer);
  const TimePoint now = worker_.now();
  for (auto at = list.end(); at != list.begin();) {
    --at;
    if (now - at->last_used > std::min(max_idle, endpoint.keep_alive)) return std::nullopt;
    if (at->told != told) continue;
    Idle idle = std::move(*at);
    at = list.erase(at);
    --idle_;
    // What the loop has reported may be a session ticket, so a doubt is settled by asking.
    bool doubt = check == Check::kernel || idle.stream.readable_now();
    if (doubt && idle.stream.idle_state() != net::IdleState::clean) continue;
    OriginConnection connection(*this, endpoint, viewer, std::move(idle.stream));
    connection.reused_ = true;
    return connection;
  }
  return std::nullopt;
}

net::Task<Result<net::Stream>> OriginPools::open(const Endpoint& endpoint, TimePoint deadline) {
  if (endpoint.host.empty()) {
    auto stream = co_await net::connect(endpoint.address, deadline);
    co_return stream;
  }
  auto addresses = co_await names_.addresses(endpoint.host, deadline);
  if (!addresses) co_return std::unexpected(addresses.error());
  std::size_t tries = std::min(addresses->size(), kAddressesATry);
  Result<net::Stream> last = fail(Code::dns, Blame::origin, "dns");
  for (std::size_t i = 0; i < tries; ++i) {
    // One silent address must not use up the time of the others.
    TimePoint now = worker_.now();
    TimePoint share = now + (deadline - now) / static_cast<int>(tries - i);
    last = co_await net::connect(net::Address((*addresses)[i], endpoint.port), share);
    if (last || last.error().code == Code::cancelled) break;
  }
  co_return last;
}

// The server learns who asks before anything else, TLS included.
net::Task<Result<net::Stream>> OriginPools::introduce(net::Stream stream, const Endpoint& endpoint,
                                                      TimePoint deadline, const Viewer* viewer) {
  net::ProxyHeader header;
  if (viewer) {
    header.client = address_of(viewer->address, viewer->port);
    header.local = address_of(viewer->local, viewer->local_port);
  }
  const bool is_v1 = endpoint.proxy_protocol == conf::ProxyProtocol::v1;
  std::array<char, net::kProxyLineBytes> bytes;
  iovec part{bytes.data(),
             net::write_proxy_header(is_v1 ? net::ProxyVersion::v1 : net::ProxyVersion::v2, header, bytes)};
  auto sent = co_await stream.write({&part, 1}, deadline);
  if (!sent) co_return std::unexpected(sent.error());
  co_return std::move(stream);
}

net::Task<Result<OriginConnection>> OriginPools::connect(const Endpoint& endpoint, TimePoint deadline,
                                                         std::string* reason, const Viewer* viewer) {
  OriginConnection connection(*this, endpoint, viewer, net::Stream());
  auto stream = co_await open(endpoint, deadline);
  if (stream && endpoint.proxy_protocol != conf::ProxyProtocol::off) {
    auto introduced = co_await introduce(std::move(*stream), endpoint, deadline, viewer);
    stream = std::move(introduced);
  }
  if (stream && endpoint.tls) {
    auto secured =
        co_await net::tls_connect(std::move(*stream), *endpoint.tls, endpoint.tls_name, deadline, reason);
    stream = std::move(secured);
  }
  if (!stream) {
    Error error = stream.error();
    if (error.code == Code::cancelled) co_return std::unexpected(error);
    error.retry = Retry::yes;
    // Running out of descriptors says nothing about the server.
    if (error.blame == Blame::origin) endpoint.state->connect_failed(error, worker_.now());
    co_return std::unexpected(error);
  }
  endpoint.state->connected();
  connection.stream_ = std::move(*stream);
  co_return connection;
}

void OriginPools::put(OriginConnection connection) {
  if (worker_.stopping() || idle_ >= kIdleInAll || connection.keep_alive_ <= Duration::zero()) return;
  std::vector<Idle>& list = pools_[Key{connection.server_, connection.tls_.get()}];
  if (list.size() >= kIdlePerServer) {
    list.erase(list.begin());
    --idle_;
  }
  list.push_back({std::move(connection.stream_), std::move(connection.tls_), connection.told_, worker_.now(),
                  connection.keep_alive_});
  ++idle_;
  if (!sweeper_.alive()) sweeper_ = worker_.spawn_named("origin pools", sweep_strand, std::ref(*this));
}

void OriginPools::sweep(TimePoint now) {
  for (auto at = pools_.begin(); at != pools_.end();) {
    std::vector<Idle>& list = at->second;
    idle_ -= std::erase_if(list, [now](Idle& idle) {
      if (now - idle.last_used > idle.keep_alive) return true;
      return idle.stream.readable_now() && idle.stream.idle_state() != net::IdleState::clean;
    });
    at = list.empty() ? pools_.erase(at) : std::next(at);
  }
}

net::Task<void> OriginPools::sweep_strand(OriginPools& pools) {
  net::Worker& worker = pools.worker_;
  for (;;) {
    auto slept = co_await net::sleep_for(kSweep);
    if (!slept && !worker.stopping()) co_return;  // cancelled by the destructor: the pools are gone
    if (!slept) pools.close_idle();
    pools.sweep(worker.now());
    if (pools.idle_ == 0) co_return;
  }
}

std::size_t OriginPools::idle(const Endpoint& endpoint) const {
  const auto found = pools_.find(Key{endpoint.state.get(), endpoint.tls.get()});
  return found == pools_.end() ? 0 : found->second.size();
}

void OriginPools::close_idle() {
  pools_.clear();
  idle_ = 0;
}

Balancer* OriginPools::find_balancer(std::size_t slot, std::uint64_t configuration) {
  if (slot >= slots_.size() || slots_[slot].configuration != configuration) return nullptr;
  return slots_[slot].balancer.get();
}

Balancer& OriginPools::set_balancer(std::size_t slot, std::uint64_t configuration,
                                    std::unique_ptr<Balancer> made) {
  if (slot >= slots_.size()) slots_.resize(slot + 1);
  slots_[slot] = {configuration, std::move(made)};
  return *slots_[slot].balancer;
}

Duration OriginPools::jitter(Duration from, Duration to) {
  return Duration(std::uniform_int_distribution<Duration::rep>(from.count(), to.count())(random_));
}

}  // namespace vignette::proxy
