#include "proxy/route/geo_files.h"

#include "base/log.h"
#include "proxy/node.h"

namespace vignette::proxy {
namespace {

constexpr Duration kLogInterval = std::chrono::minutes(1);

}  // namespace

geo::Paths geo_paths(const conf::GeoOptions& options) { return {options.country, options.city, options.asn}; }

// A damaged database answers "unknown" for what it cannot read: somebody should know.
geo::BadRecordReports bad_record_reports(Node& node) {
  Counter& count = node.metrics.registry.counter(
      "vignette_geo_bad_records_total",
      "Lookups in geo databases that met damaged data, which counts as unknown.");
  return [&count, &log = node.log, &clock = node.clock](const std::string& path) {
    return [&count, &log, limit = std::make_shared<RateLimited>(clock, kLogInterval), path] {
      count.add(kNoWorker);
      if (auto skipped = limit->admit()) {
        log.error(
            "geo: {} is damaged: a record cannot be read and counts as unknown ({} more since the last line)",
            path, *skipped);
      }
    };
  };
}

}  // namespace vignette::proxy
