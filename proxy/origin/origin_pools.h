// What a worker keeps for talking to origin servers: idle connections, resolved names, the state of its
// round robins. Loop-thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "conf/address.h"
#include "conf/config.h"
#include "net/address.h"
#include "net/resolver.h"
#include "net/stream.h"
#include "net/task.h"
#include "net/tls.h"
#include "net/worker.h"
#include "proxy/origin/dns_cache.h"
#include "proxy/origin/origin.h"
#include "proxy/origin/server_registry.h"

namespace vignette::proxy {

class Balancer;
class OriginPools;

// Where and how to reach one origin server. Immutable after construction.
struct Endpoint {
  // `tls` null: plain. `tls_name`: SNI and the name that is verified; empty: the address's own host.
  Endpoint(std::shared_ptr<ServerState> server, const conf::Address& where,
           std::shared_ptr<const net::TlsClient> tls_client, std::string name, Duration idle_limit);

  std::shared_ptr<ServerState> state;
  net::Address address;  // of no family when `host` has to be resolved
  std::string host;      // a DNS name; empty when `address` is known
  std::uint16_t port = 0;
  std::shared_ptr<const net::TlsClient> tls;
  std::string tls_name;
  Duration keep_alive;  // an idle connection is closed at the latest after this
  conf::ProxyProtocol proxy_protocol = conf::ProxyProtocol::off;  // how connections begin
};

// What the PROXY header said that a connection began with: connections that differ in it are no substitutes.
struct Told {
  conf::ProxyProtocol version = conf::ProxyProtocol::off;
  conf::IpBytes viewer{};  // zeros: nobody
  bool operator==(const Told&) const = default;
};

// A connection to an origin server that one request uses. Dropped: closed. Counts as in flight at its server.
class OriginConnection {
 public:
  OriginConnection(OriginConnection&&) noexcept = default;
  OriginConnection& operator=(OriginConnection&&) noexcept = default;
  ~OriginConnection() = default;

  net::Stream& stream() { return stream_; }
  ServerState& server() const { return *server_; }
  bool reused() const { return reused_; }
  // Back to the pool it came from: its last answer has been taken to the last byte. Closed when the pool is
  // full or the worker stops.
  void give_back() &&;
  void close() { stream_.close(); }

 private:
  friend class OriginPools;
  struct EndRequest {
    void operator()(ServerState* server) const { server->end_request(); }
  };
  OriginConnection(OriginPools& pools, const Endpoint& endpoint, const Viewer* viewer, net::Stream stream);

  OriginPools* pools_;
  net::Stream stream_;
  ServerState* server_;
  std::unique_ptr<ServerState, EndRequest> in_flight_;
  std::shared_ptr<const net::TlsClient> tls_;
  Duration keep_alive_;
  Told told_;
  bool reused_ = false;
};

class OriginPools {
 public:
  static constexpr std::size_t kIdlePerServer = 256;  // whoever they speak for; the oldest goes
  static constexpr std::size_t kIdleInAll = 4096;
  static constexpr Duration kSweep = std::chrono::seconds(1);

  explicit OriginPools(net::Worker& worker);
  ~OriginPools();
  OriginPools(const OriginPools&) = delete;
  OriginPools& operator=(const OriginPools&) = delete;

  enum class Check : std::uint8_t {
    flags,   // what the loop has reported: free, and right but for the last microseconds
    kernel,  // asked once more: one system call
  };
  // The idle connection to that endpoint used last, if it was used within `max_idle` (and the endpoint's own
  // limit) and its server has neither closed it nor sent anything. Where connections begin with a PROXY
  // header, one that was opened for the viewer's address.
  std::optional<OriginConnection> take_idle(const Endpoint& endpoint, Duration max_idle, Check check,
                                            const Viewer* viewer = nullptr);
  // A new connection; PROXY header and TLS included. Tells the server's state how it went. Errors: those of
  // net::connect, net::tls_connect and the resolver, with retry = yes. `reason`, when given, gets TLS's
  // longer text.
  net::Task<Result<OriginConnection>> connect(const Endpoint& endpoint, TimePoint deadline,
                                              std::string* reason = nullptr, const Viewer* viewer = nullptr);

  std::size_t idle() const { return idle_; }
  std::size_t idle(const Endpoint& endpoint) const;
  void close_idle();

  // This worker's round robin of an origin: `make` is called when there is none for this configuration.
  // Valid until the next call: look it up again after each wait.
  template <typename Make>
  Balancer& balancer(std::size_t slot, std::uint64_t configuration, Make&& make) {
    if (Balancer* found = find_balancer(slot, configuration)) return *found;
    return set_balancer(slot, configuration, make());
  }
  // Uniform in [from, to].
  Duration jitter(Duration from, Duration to);
  // Uniform in [0, 1).
  double chance() { return std::generate_canonical<double, 32>(random_); }

 private:
  friend class OriginConnection;
  struct Key {
    const ServerState* server;
    const net::TlsClient* tls;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const;
  };
  struct Idle;
  struct Slot;
  void put(OriginConnection connection);
  void sweep(TimePoint now);
  static net::Task<void> sweep_strand(OriginPools& pools);
  net::Task<Result<net::Stream>> open(const Endpoint& endpoint, TimePoint deadline);
  net::Task<Result<net::Stream>> introduce(net::Stream stream, const Endpoint& endpoint, TimePoint deadline,
                                           const Viewer* viewer);
  Balancer* find_balancer(std::size_t slot, std::uint64_t configuration);
  Balancer& set_balancer(std::size_t slot, std::uint64_t configuration, std::unique_ptr<Balancer> made);

  net::Worker& worker_;
  DnsCache names_;
  std::unordered_map<Key, std::vector<Idle>, KeyHash> pools_;
  std::size_t idle_ = 0;
  net::StrandRef sweeper_;
  std::vector<Slot> slots_;
  std::minstd_rand random_;
};

}  // namespace vignette::proxy
