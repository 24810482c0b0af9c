// What the node says of itself: the series that are read when somebody asks, and /v1/status.
#include <unistd.h>

#include "base/json.h"
#include "proxy/process/allocator.h"
#include "proxy/process/disk_report.h"
#include "proxy/process/server.h"
#include "proxy/process/warm_report.h"

namespace vignette::proxy {

std::string_view Server::listener_kind(const conf::Listener& options) {
  return options.tls ? "https" : "http";
}

void Server::register_metrics() {
  using enum MetricType;
  auto add = [this](MetricType type, std::string_view name, std::string_view help,
                    std::function<double()> read) {
    metric_callbacks_.push_back(metrics_.callback(type, name, help, {}, std::move(read)));
  };
  auto number = [](auto value) { return static_cast<double>(value); };
  add(gauge, "vignette_cache_objects", "Objects in the memory tier.",
      [this, number] { return number(store_.stats().objects); });
  add(gauge, "vignette_cache_used_bytes",
      "Bytes of the memory tier in use, open fills and pinned objects included.",
      [this, number] { return number(store_.stats().used_bytes); });
  add(gauge, "vignette_cache_budget_bytes", "Bytes the memory tier may use.",
      [this, number] { return number(store_.stats().budget_bytes); });
  add(counter, "vignette_cache_evictions_total", "Objects evicted from the memory tier.", [this, number] {
    cache::StoreStats stats = store_.stats();
    return number(stats.evictions_small + stats.evictions_main + stats.evictions_large);
  });
  add(counter, "vignette_purges_total", "Purges taken, invalidations by unsafe methods included.",
      [this, number] { return number(purges_.stats().purges); });
  add(gauge, "vignette_purge_names", "Purged URLs, tags and prefixes that are remembered.", [this, number] {
    const cache::PurgeStats stats = purges_.stats();
    return number(stats.epochs + stats.prefixes);
  });
  add(counter, "vignette_cache_purged_total", "Objects found purged when they were asked for, and dropped.",
      [this, number] { return number(store_.stats().purged); });
  add(gauge, "vignette_fills_open", "Fetches into the cache under way.",
      [this, number] { return number(fills_.stats().open); });
  add(counter, "vignette_cache_variants_dropped_total",
      "Stored variants of URLs that had more than one URL may have (Vary).",
      [this, number] { return number(fills_.stats().variants_dropped); });
  add(counter, "vignette_fills_passed_total",
      "Fetches of their own for URLs whose answers were not for others (hit-for-miss).",
      [this, number] { return number(fills_.stats().passed); });
  add(gauge, "vignette_allocated_bytes", "Live allocations, as the allocator counts them.",
      [number] { return number(allocated_bytes()); });
  add(gauge, "vignette_configuration_generation", "Configurations applied since the start.",
      [this, number] { return number(snapshot_->generation); });
  add(counter, "vignette_reloads_failed_total", "Reloads refused because the configuration was wrong.",
      [this, number] { return number(reloads_failed_); });
  add(counter, "vignette_access_log_dropped_total", "Access log lines dropped.",
      [this, number] { return number(access_log_ ? access_log_->dropped_lines() : 0); });
  register_disk_metrics(store_, metrics_, metric_callbacks_);
  register_warm_metrics(warm_, hot_keeper_.get(), metrics_, metric_callbacks_);
  for (unsigned i = 0; i < worker_count_; ++i) {
    std::string index = std::to_string(i);
    auto add_worker = [&](MetricType type, std::string_view name, std::string_view help,
                          std::function<double(NodeWorker&)> read) {
      metric_callbacks_.push_back(metrics_.callback(type, name, help, {{"worker", index}}, [this, i, read] {
        return i < workers_.size() ? read(*workers_[i]) : 0.0;
      }));
    };
    add_worker(
        gauge, "vignette_loop_lag_seconds", "How late the loop is, a moving average.",
        [](NodeWorker& worker) { return std::chrono::duration<double>(worker.loop().loop_lag()).count(); });
    add_worker(counter, "vignette_worker_allocated_bytes_total",
               "Bytes the worker's thread has ever allocated.",
               [number](NodeWorker& worker) { return number(worker.allocated_bytes()); });
    add_worker(
        counter, "vignette_accept_exhausted_total", "Accepts put off because descriptors ran out.",
        [number](NodeWorker& worker) { return number(worker.loop().counters().accept_exhausted.load()); });
  }
}

// What compaction of the book of purges may forget about: 0 as long as that is not known.
std::uint64_t Server::oldest_sequence() {
  std::uint64_t oldest = purges_.sequence();
  if (const cache::DiskStore* disk = store_.disk()) oldest = std::min(oldest, disk->oldest_sequence());
  store_.visit([&oldest](const cache::Object& object) { oldest = std::min(oldest, object.sequence()); });
  return oldest;
}

std::string Server::status_json() const {
  std::string text;
  JsonWriter json(text);
  cache::StoreStats cache = store_.stats();
  json.begin_object();
  json.field("version", VIGNETTE_VERSION);
  json.field("pid", static_cast<int>(::getpid()));
  json.key("uptime_seconds").fixed(std::chrono::duration<double>(clock_.now() - started_).count(), 1);
  json.field("draining", node_.draining.load());
  json.field("workers", worker_count_);
  json.field("configuration",
             config_->files.empty() ? std::string_view("quickstart") : config_->files.front());
  json.field("generation", snapshot_->generation);
  json.key("listeners").begin_array();
  for (const Bound& bound : bound_) {
    json.begin_object()
        .field("address", bound.address.to_string())
        .field("kind", listener_kind(bound.options));
    json.end_object();
  }
  json.end_array();
  json.key("connections").begin_object().field("open", node_metrics_.connections_open.value());
  json.field("accepted", node_metrics_.connections_accepted.value()).end_object();
  json.key("requests").begin_object();
  for (std::size_t i = 0; i < kCacheOutcomes; ++i) {
    json.field(to_string(static_cast<CacheOutcome>(i)), node_metrics_.cache[i]->value());
  }
  json.end_object();
  json.key("cache").begin_object();
  json.field("objects", cache.objects).field("bytes", cache.bytes).field("used_bytes", cache.used_bytes);
  json.field("budget_bytes", cache.budget_bytes).field("open_fills", fills_.stats().open).end_object();
  write_disks(json, store_.disk_stats());
  write_warm(json, warm_, hot_keeper_.get());
  json.key("origins").raw(servers_.status_json());
  json.end_object();
  return text;
}

}  // namespace vignette::proxy
