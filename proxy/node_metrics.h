// The series every request touches, looked up once at start so that recording is an array access.
// Route and origin series are made with their snapshot.
#pragma once

#include <array>
#include <string_view>

#include "base/metrics.h"

namespace vignette::proxy {

// How the cache took part in an answer; a label of requests and a word in the access log.
enum class CacheOutcome : std::uint8_t { none, hit, stale, revalidated, miss, collapsed, partial, bypass };
inline constexpr std::size_t kCacheOutcomes = 8;
std::string_view to_string(CacheOutcome outcome);

struct NodeMetrics {
  explicit NodeMetrics(Metrics& registry);

  Metrics& registry;
  std::array<Counter*, 6> responses{};  // by status class; [0]: no answer could be sent
  std::array<Counter*, kCacheOutcomes> cache{};
  Counter& connections_accepted;
  Counter& connections_refused;  // TLS handshakes that failed
  Gauge& connections_open;
  Counter& bytes_sent;
  Counter& bytes_received;
  Counter& fills_started;
  Counter& fills_failed;
  Counter& chunks_fetched;  // of large objects
  Counter& large_changed;
  Counter& readers_cut;
  Counter& answers_stalled;                   // given up because the client did not take them
  std::array<Counter*, 4> answers_encoded{};  // by http::Coding; identity: what had one was undone
  Counter& bodies_spooled;                    // of requests: to disk
  Counter& bodies_not_spooled;                // streamed from where there was no room, or the disk failed
  Counter& codecs_refused;                    // no room in WorkerContext::codec_room
  Counter& exceptions;                        // library exceptions that ended a strand

  // Refusals by reason; made on first use, so only for the error path.
  void refused(unsigned worker, std::string_view reason);
};

// What a route or an origin records per request.
struct RouteMetrics {
  Histogram* duration = nullptr;
};

}  // namespace vignette::proxy
