#include "proxy/node_metrics.h"

#include "http/accept.h"

namespace vignette::proxy {

std::string_view to_string(CacheOutcome outcome) {
  switch (outcome) {
    case CacheOutcome::none:
      return "none";
    case CacheOutcome::hit:
      return "hit";
    case CacheOutcome::stale:
      return "stale";
    case CacheOutcome::revalidated:
      return "revalidated";
    case CacheOutcome::miss:
      return "miss";
    case CacheOutcome::collapsed:
      return "collapsed";
    case CacheOutcome::partial:
      return "partial";
    case CacheOutcome::bypass:
      return "bypass";
  }
  return "unknown";
}

Counter& ReasonCounters::look_up(std::string_view reason) const {
  return registry_.counter(name_, help_, {{"reason", reason}});
}

void ReasonCounters::add(unsigned worker, std::string_view reason) {
  if (worker >= known_.size()) return look_up(reason).add(worker);
  auto& known = known_[worker];
  auto found = known.find(reason);
  if (found == known.end()) found = known.emplace(reason, &look_up(reason)).first;
  found->second->add(worker);
}

NodeMetrics::NodeMetrics(Metrics& metrics, unsigned workers)
    : registry(metrics),
      connections_accepted(
          metrics.counter("vignette_connections_accepted_total", "Client connections accepted.")),
      connections_open(metrics.gauge("vignette_connections_open", "Client connections open now.")),
      bytes_sent(metrics.counter("vignette_sent_bytes_total", "Bytes sent to clients, TLS included.")),
      bytes_received(
          metrics.counter("vignette_received_bytes_total", "Bytes received from clients, TLS included.")),
      fills_started(metrics.counter("vignette_fills_started_total", "Fetches into the cache.")),
      fills_failed(metrics.counter("vignette_fills_failed_total", "Fetches into the cache that failed.")),
      chunks_fetched(metrics.counter("vignette_chunks_fetched_total",
                                     "Pieces of 1 MiB of large objects fetched into the cache.")),
      large_changed(metrics.counter("vignette_large_changed_total",
                                    "Large objects dropped because the origin has another version.")),
      readers_cut(metrics.counter("vignette_readers_cut_total",
                                  "Clients cut off for taking an answer that is not stored too slowly.")),
      answers_stalled(metrics.counter("vignette_answers_stalled_total",
                                      "Answers given up because the client took them too slowly.")),
      tunnels_begun(
          metrics.counter("vignette_tunnels_total", "WebSocket connections passed on to an origin.")),
      tunnels_open(metrics.gauge("vignette_tunnels_open", "WebSocket connections open now.")),
      tunnel_to_client(metrics.counter("vignette_tunnel_bytes_total",
                                       "Bytes passed on by WebSocket connections.", {{"to", "client"}})),
      tunnel_to_origin(metrics.counter("vignette_tunnel_bytes_total",
                                       "Bytes passed on by WebSocket connections.", {{"to", "origin"}})),
      bodies_spooled(
          metrics.counter("vignette_bodies_spooled_total", "Request bodies that were kept on disk.")),
      bodies_not_spooled(
          metrics.counter("vignette_bodies_not_spooled_total",
                          "Request bodies that were streamed to a server because the spool had "
                          "no room left or its disk failed.")),
      codecs_refused(metrics.counter("vignette_codecs_refused_total",
                                     "Answers that kept their content coding because too many were being "
                                     "compressed or undone at the time.")),
      exceptions(metrics.counter("vignette_exceptions_total", "Library exceptions that ended a strand.")),
      refusals_(metrics, "vignette_refusals_total", "Requests refused, by reason.", workers),
      connections_refused_(metrics, "vignette_connections_refused_total",
                           "Connections closed before a request was read, by reason.", workers),
      tunnels_ended_(metrics, "vignette_tunnels_ended_total",
                     "WebSocket connections that ended, by reason; \"closed\": both sides in order.",
                     workers) {
  static constexpr std::string_view kClasses[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
  for (std::size_t i = 0; i < responses.size(); ++i) {
    responses[i] =
        &metrics.counter("vignette_responses_total", "Answers by status class.", {{"class", kClasses[i]}});
  }
  static constexpr std::string_view kVersions[] = {"TLSv1.2", "TLSv1.3"};
  static constexpr std::string_view kResumed[] = {"no", "yes"};
  for (std::size_t version = 0; version < 2; ++version) {
    for (std::size_t resumed = 0; resumed < 2; ++resumed) {
      handshakes[version][resumed] =
          &metrics.counter("vignette_tls_handshakes_total", "Client TLS handshakes done.",
                           {{"version", kVersions[version]}, {"resumed", kResumed[resumed]}});
    }
  }
  static constexpr std::string_view kFailures[] = {"timeout", "protocol", "gone"};
  for (std::size_t i = 0; i < handshakes_failed.size(); ++i) {
    handshakes_failed[i] = &metrics.counter(
        "vignette_tls_handshakes_failed_total",
        "Client TLS handshakes that did not complete: too slow, refused by one side, or ended.",
        {{"reason", kFailures[i]}});
  }
  for (std::size_t i = 0; i < answers_encoded.size(); ++i) {
    answers_encoded[i] = &metrics.counter(
        "vignette_answers_encoded_total",
        "Answers of servers that were compressed, and those whose compression was undone (identity).",
        {{"coding", http::to_string(static_cast<http::Coding>(i))}});
  }
  for (std::size_t i = 0; i < cache.size(); ++i) {
    cache[i] = &metrics.counter("vignette_cache_requests_total", "Requests by what the cache did for them.",
                                {{"outcome", to_string(static_cast<CacheOutcome>(i))}});
  }
}

void NodeMetrics::handshake(unsigned worker, const net::TlsInfo& info) {
  handshakes[info.version == "TLSv1.3" ? 1 : 0][info.resumed ? 1 : 0]->add(worker);
}

void NodeMetrics::handshake_failed(unsigned worker, Code code) {
  const HandshakeFailure reason = code == Code::timeout ? timeout : code == Code::tls ? protocol : gone;
  handshakes_failed[reason]->add(worker);
}

void NodeMetrics::refused(unsigned worker, std::string_view reason) { refusals_.add(worker, reason); }

void NodeMetrics::connection_refused(unsigned worker, std::string_view reason) {
  connections_refused_.add(worker, reason);
}

void NodeMetrics::tunnel_ended(unsigned worker, std::string_view reason) {
  tunnels_ended_.add(worker, reason.empty() ? "closed" : reason);
}

}  // namespace vignette::proxy
