// The series every request touches, looked up once at start so that recording is an array access.
// Route and origin series are made with their snapshot.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/metrics.h"
#include "net/stream.h"

namespace vignette::proxy {

// How the cache took part in an answer; a label of requests and a word in the access log.
enum class CacheOutcome : std::uint8_t { none, hit, stale, revalidated, miss, collapsed, partial, bypass };
inline constexpr std::size_t kCacheOutcomes = 8;
std::string_view to_string(CacheOutcome outcome);

// The counters of one name by their label `reason`. A worker asks the registry, which locks, once for each;
// `worker` is the calling thread's own index, or none's.
class ReasonCounters {
 public:
  // `name` and `help` are static; `registry` outlives it.
  ReasonCounters(Metrics& registry, std::string_view name, std::string_view help, unsigned workers)
      : registry_(registry), name_(name), help_(help), known_(workers) {}
  void add(unsigned worker, std::string_view reason);

 private:
  Counter& look_up(std::string_view reason) const;

  Metrics& registry_;
  const std::string_view name_;
  const std::string_view help_;
  std::vector<std::map<std::string, Counter*, std::less<>>> known_;  // by worker
};

struct NodeMetrics {
  // `workers`: how many threads have an index of their own.
  explicit NodeMetrics(Metrics& registry, unsigned workers = 0);

  Metrics& registry;
  std::array<Counter*, 6> responses{};  // by status class; [0]: no answer could be sent
  std::array<Counter*, kCacheOutcomes> cache{};
  std::array<std::array<Counter*, 2>, 2> handshakes{};  // TLS 1.2 and 1.3; whole and resumed
  enum HandshakeFailure : std::uint8_t { timeout, protocol, gone };
  std::array<Counter*, 3> handshakes_failed{};
  Counter& connections_accepted;
  Gauge& connections_open;
  Counter& bytes_sent;
  Counter& bytes_received;
  Counter& fills_started;
  Counter& fills_failed;
  Counter& chunks_fetched;  // of large objects
  Counter& large_changed;
  Counter& readers_cut;
  Counter& answers_stalled;  // given up because the client did not take them
  Counter& tunnels_begun;
  Gauge& tunnels_open;
  Counter& tunnel_to_client;  // bytes
  Counter& tunnel_to_origin;
  std::array<Counter*, 4> answers_encoded{};  // by http::Coding; identity: what had one was undone
  Counter& bodies_spooled;                    // of requests: to disk
  Counter& bodies_not_spooled;                // streamed from where there was no room, or the disk failed
  Counter& codecs_refused;                    // no room in WorkerContext::codec_room
  Counter& exceptions;                        // library exceptions that ended a strand

  // Of a client's connection: done, or failed with this error.
  void handshake(unsigned worker, const net::TlsInfo& info);
  void handshake_failed(unsigned worker, Code code);

  // Of requests.
  void refused(unsigned worker, std::string_view reason);
  // Of connections that are closed before a request.
  void connection_refused(unsigned worker, std::string_view reason);
  // An empty reason: both sides ended in order.
  void tunnel_ended(unsigned worker, std::string_view reason);

 private:
  ReasonCounters refusals_;
  ReasonCounters connections_refused_;
  ReasonCounters tunnels_ended_;
};

// What a route or an origin records per request.
struct RouteMetrics {
  Histogram* duration = nullptr;
};

}  // namespace vignette::proxy
