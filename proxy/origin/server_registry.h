// What is known of each origin server at run time: whether it may be asked, what it did lately. One
// ServerState per (origin, address text) for the life of the node, so that health survives a reload; a
// state is never freed before the registry, and what the configuration no longer names is not shown.
//
//   active (health checks)   unchecked | probing | up | down; unchecked and up may be asked
//   passive (requests)       5 gateway errors in a row eject for 10 s x count, at most 300 s, at most 30 % of
//                            an origin's servers (but always one)
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/metrics.h"

namespace vignette::proxy {

class OriginState;
class S3State;

enum class ActiveHealth : std::uint8_t { unchecked, probing, up, down };

// Thread-safe.
class ServerState {
 public:
  static constexpr std::uint32_t kErrorsToEject = 5;
  static constexpr Duration kEjection = std::chrono::seconds(10);  // times the count of ejections in a row
  static constexpr Duration kMaxEjection = std::chrono::seconds(300);
  // A server that refused a connection this recently is left out of a panic; then one more try shows.
  static constexpr Duration kConnectPause = std::chrono::seconds(1);

  ServerState(OriginState& origin, std::string address, Metrics& metrics, const Clock& clock);
  ServerState(const ServerState&) = delete;
  ServerState& operator=(const ServerState&) = delete;

  const std::string& address() const { return address_; }  // as configured; valid as long as the registry
  OriginState& origin() { return origin_; }

  bool is_up(TimePoint now) const { return active_up() && !is_ejected(now); }
  bool is_ejected(TimePoint now) const;
  // Its last connect failed, less than kConnectPause ago.
  bool connect_failed_lately(TimePoint now) const;
  std::string_view state(TimePoint now) const;  // "up", "down", "ejected" or "probing"; static

  ActiveHealth active() const { return active_.load(std::memory_order_relaxed); }
  void set_active(ActiveHealth health) { active_.store(health, std::memory_order_relaxed); }

  // Health checks have found it well again: an ejection ends, and the next one starts from the shortest.
  void readmit();

  void connected();
  void connect_failed(const Error& error, TimePoint now);
  // An answer came that is not a gateway error.
  void succeeded();
  // Connect, timeout, reset, malformed, or an answer 502, 503, 504. True when this ejects the server.
  bool failed(const Error& error, TimePoint now);
  Duration ejection() const;  // the current or last one

  void count_request(unsigned worker) { requests_.add(worker); }
  void begin_request() { in_flight_.fetch_add(1, std::memory_order_relaxed); }
  void end_request() { in_flight_.fetch_sub(1, std::memory_order_relaxed); }
  std::int64_t in_flight() const { return in_flight_.load(std::memory_order_relaxed); }
  void count_failure(unsigned worker) { failures_.add(worker); }
  std::uint64_t requests() const { return requests_.value(); }
  std::uint64_t failures() const { return failures_.value(); }
  std::string last_error() const;  // "" when there was none

  // Of the configuration in use, for status only.
  void describe(std::uint32_t weight, bool backup);
  std::uint32_t weight() const { return weight_.load(std::memory_order_relaxed); }
  bool backup() const { return backup_.load(std::memory_order_relaxed); }

 private:
  bool active_up() const {
    ActiveHealth health = active();
    return health == ActiveHealth::up || health == ActiveHealth::unchecked;
  }
  void remember(const Error& error);

  OriginState& origin_;
  const std::string address_;
  const Clock& clock_;
  Counter& requests_;
  Counter& failures_;
  std::atomic<ActiveHealth> active_{ActiveHealth::unchecked};
  std::atomic<bool> backup_{false};
  std::atomic<std::uint32_t> weight_{1};
  std::atomic<std::uint32_t> errors_in_a_row_{0};
  std::atomic<std::uint32_t> ejections_{0};
  std::atomic<Duration::rep> ejected_until_{0};
  std::atomic<Duration::rep> connect_failed_at_{0};  // 0: the last connect succeeded
  std::atomic<std::int64_t> in_flight_{0};
  mutable std::mutex mutex_;  // guards last_error_
  Error last_error_{};
  bool has_error_ = false;
  Metrics::Callback up_gauge_;
};

// Thread-safe. One per origin name, for the life of the registry.
class OriginState {
 public:
  OriginState(std::string name, std::size_t slot, Metrics& metrics);
  ~OriginState();

  const std::string& name() const { return name_; }
  std::size_t slot() const { return slot_; }   // small and dense: workers keep their share in a vector
  Histogram& duration() { return duration_; }  // fetch to response head, failures included
  // Whether one more of its servers may be ejected; at least one always may.
  bool may_eject(TimePoint now) const;
  // Of an object store; made when it is first asked for.
  S3State& s3();

 private:
  friend class ServerRegistry;
  std::vector<std::shared_ptr<ServerState>> in_use() const;

  const std::string name_;
  const std::size_t slot_;
  Metrics& metrics_;
  Histogram& duration_;
  mutable std::mutex mutex_;  // guards what follows
  std::vector<std::shared_ptr<ServerState>> servers_;
  std::unique_ptr<S3State> s3_;
};

// Thread-safe.
class ServerRegistry {
 public:
  // The clock is the system's when none is given; both must outlive the registry.
  explicit ServerRegistry(Metrics& metrics, const Clock* clock = nullptr);
  ~ServerRegistry();

  OriginState& origin(std::string_view name);
  // The state of that server, made when it is new. It is shown in the status while somebody beside the
  // registry holds it; a plain reference to it is good as long as the registry.
  std::shared_ptr<ServerState> server(std::string_view origin, std::string_view address);

  // Tells the objects of one origin in several configurations apart; never 0.
  std::uint64_t new_id() { return ids_.fetch_add(1, std::memory_order_relaxed) + 1; }

  // [{"name":"app","servers":[{"address":…,"state":"up|down|ejected|probing","weight":…,"backup":…,
  //   "in_flight":…,"requests":…,"failures":…,"last_error":…}]}]
  std::string status_json() const;

 private:
  OriginState& origin_locked(std::string_view name);

  Metrics& metrics_;
  SystemClock system_clock_;
  const Clock& clock_;
  std::atomic<std::uint64_t> ids_{0};
  mutable std::mutex mutex_;  // guards origins_
  std::map<std::string, std::unique_ptr<OriginState>, std::less<>> origins_;
};

}  // namespace vignette::proxy
