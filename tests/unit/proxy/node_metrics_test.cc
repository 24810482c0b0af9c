#include <catch2/catch.hpp>

#include <string>

#include "proxy/node_metrics.h"

using namespace vignette;
using namespace vignette::proxy;

TEST_CASE("Reasons are counted by their name, whichever thread counts") {
  Metrics registry(2);
  NodeMetrics metrics(registry, 2);
  const std::string reason = "proxy_missing";
  for (const unsigned worker : {0u, 0u, 1u, 7u}) metrics.connection_refused(worker, reason);
  metrics.connection_refused(0, "no_tls");
  metrics.refused(0, reason);
  metrics.tunnel_ended(1, "");
  metrics.tunnel_ended(1, "tunnel_idle");
  std::string text;
  registry.render(text);
  for (const char* line : {"vignette_connections_refused_total{reason=\"proxy_missing\"} 4\n",
                           "vignette_connections_refused_total{reason=\"no_tls\"} 1\n",
                           "vignette_refusals_total{reason=\"proxy_missing\"} 1\n",
                           "vignette_tunnels_ended_total{reason=\"closed\"} 1\n",
                           "vignette_tunnels_ended_total{reason=\"tunnel_idle\"} 1\n"}) {
    INFO(line);
    CHECK(text.find(line) != std::string::npos);
  }
}
