// One [[site.route]], compiled. Immutable after construction; lives as long as its snapshot.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cache/policy.h"
#include "conf/config.h"
#include "geo/country.h"
#include "proxy/node_metrics.h"
#include "proxy/origin/origin.h"

namespace vignette::proxy {

struct Route {
  const conf::Route* options = nullptr;  // in the snapshot's configuration
  std::string label;                     // "img.example.com/i/*": metrics, log, explain
  std::vector<Origin*> origins;          // primary, then failover; owned by the snapshot
  cache::CachePolicy cache_policy;
  std::uint64_t rate_scope = 0;  // tells its buckets from other routes', over reloads too
  geo::Rules geo;
  bool uses_geo = false;
  // Response fields, names in lower case: removed first, then set.
  std::vector<std::string> remove_fields;
  std::vector<std::pair<std::string, std::string>> set_fields;
  RouteMetrics metrics;
};

}  // namespace vignette::proxy
