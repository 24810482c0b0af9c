// What the node says of itself: the series that are read when somebody asks, and /v1/status.
#include <unistd.h>

#include "base/json.h"
#include "proxy/client/spool.h"
#include "proxy/process/allocator.h"
#include "proxy/process/disk_report.h"
#include "proxy/process/server.h"
#include "proxy/process/warm_report.h"

namespace vignette::proxy {
namespace {

double as_number(auto value) { return static_cast<double>(value); }
double as_seconds(Duration span) { return std::chrono::duration<double>(span).count(); }

}  // namespace

std::string_view Server::listener_kind(const conf::Listener& options) {
  return options.tls ? "https" : "http";
}

void Server::add_metric(MetricType type, std::string_view name, std::string_view help,
                        std::function<double()> read) {
  metric_callbacks_.push_back(metrics_.callback(type, name, help, {}, std::move(read)));
}

void Server::register_metrics() {
  register_cache_metrics();
  register_process_metrics();
  register_disk_metrics(store_, metrics_, metric_callbacks_);
  register_warm_metrics(warm_, hot_keeper_.get(), metrics_, metric_callbacks_);
  register_loop_metrics("main", [this] { return &loop_; });
  for (unsigned i = 0; i < worker_count_; ++i) register_worker_metrics(i);
}

void Server::register_cache_metrics() {
  using enum MetricType;
  add_metric(gauge, "vignette_spool_disk_bytes", "Bytes of request bodies on disk.",
             [this] { return as_number(node_.spool->disk().used()); });
  add_metric(gauge, "vignette_spool_memory_bytes", "Bytes of memory that request bodies wait in.",
             [this] { return as_number(node_.spool->memory().used()); });
  add_metric(gauge, "vignette_cache_objects", "Objects in the memory tier.",
             [this] { return as_number(store_.stats().objects); });
  add_metric(gauge, "vignette_cache_used_bytes",
             "Bytes of the memory tier in use, open fills and pinned objects included.",
             [this] { return as_number(store_.stats().used_bytes); });
  add_metric(gauge, "vignette_cache_budget_bytes", "Bytes the memory tier may use.",
             [this] { return as_number(store_.stats().budget_bytes); });
  add_metric(counter, "vignette_cache_evictions_total", "Objects evicted from the memory tier.", [this] {
    cache::StoreStats stats = store_.stats();
    return as_number(stats.evictions_small + stats.evictions_main + stats.evictions_large);
  });
  add_metric(counter, "vignette_purges_total", "Purges taken, invalidations by unsafe methods included.",
             [this] { return as_number(purges_.stats().purges); });
  add_metric(counter, "vignette_purges_refused_total",
             "Purges and invalidations refused because too many names are remembered.",
             [this] { return as_number(purges_.stats().refused); });
  add_metric(counter, "vignette_purges_not_durable_total",
             "Purges and invalidations in effect whose journal could not be written when they were answered.",
             [this] { return as_number(purges_.stats().not_durable); });
  add_metric(gauge, "vignette_purge_journal_behind",
             "1 while purges are in effect that a restart would forget.",
             [this] { return as_number(purges_.is_behind() ? 1 : 0); });
  add_metric(gauge, "vignette_purge_names", "Purged URLs, tags and prefixes that are remembered.", [this] {
    const cache::PurgeStats stats = purges_.stats();
    return as_number(stats.epochs + stats.prefixes);
  });
  add_metric(gauge, "vignette_purge_erasing",
             "1 while bytes that a purge erases are still to be overwritten on a disk.",
             [this] { return as_number(purges_.owed_epoch() == 0 ? 0 : 1); });
  add_metric(counter, "vignette_cache_purged_total",
             "Objects found purged when they were asked for, and dropped.",
             [this] { return as_number(store_.stats().purged); });
  add_metric(gauge, "vignette_fills_open", "Fetches into the cache under way.",
             [this] { return as_number(fills_.stats().open); });
  add_metric(counter, "vignette_cache_variants_dropped_total",
             "Stored variants of URLs that had more than one URL may have (Vary).",
             [this] { return as_number(fills_.stats().variants_dropped); });
  add_metric(counter, "vignette_cache_tags_cut_total",
             "Responses stored with more purge tags than are kept: each purge by a tag takes them.",
             [this] { return as_number(fills_.stats().tags_cut); });
  add_metric(counter, "vignette_fills_passed_total",
             "Fetches of their own for URLs whose answers were not for others (hit-for-miss).",
             [this] { return as_number(fills_.stats().passed); });
}

void Server::register_process_metrics() {
  using enum MetricType;
  add_metric(gauge, "vignette_allocated_bytes", "Live allocations, as the allocator counts them.",
             [] { return as_number(allocated_bytes()); });
  add_metric(gauge, "vignette_configuration_generation", "Configurations applied since the start.",
             [this] { return as_number(snapshot_->generation); });
  add_metric(counter, "vignette_reloads_failed_total", "Reloads refused because the configuration was wrong.",
             [this] { return as_number(reloads_failed_); });
  add_metric(counter, "vignette_access_log_dropped_total", "Access log lines dropped.",
             [this] { return as_number(access_log_ ? access_log_->dropped_lines() : 0); });
  add_metric(counter, "vignette_log_lines_lost_total",
             "Lines of the node's own log that whoever reads its stderr had no room for.",
             [this] { return as_number(log_.lost()); });
}

// `loop` is null once its thread is gone.
void Server::register_loop_metrics(const std::string& thread, std::function<net::Worker*()> loop) {
  using enum MetricType;
  const auto add = [&](MetricType type, std::string_view name, std::string_view help,
                       double (*read)(net::Worker&)) {
    metric_callbacks_.push_back(metrics_.callback(type, name, help, {{"worker", thread}}, [loop, read] {
      net::Worker* found = loop();
      return found ? read(*found) : 0.0;
    }));
  };
  add(gauge, "vignette_loop_lag_seconds", "How late the loop is, a moving average.",
      [](net::Worker& is) { return as_seconds(is.loop_lag()); });
  add(gauge, "vignette_loop_lag_worst_seconds", "How late the loop was at most since this was last read.",
      [](net::Worker& is) { return as_seconds(is.take_worst_lag()); });
  add(counter, "vignette_accept_exhausted_total", "Accepts put off because descriptors ran out.",
      [](net::Worker& is) { return as_number(is.counters().accept_exhausted.load()); });
  add(counter, "vignette_connections_unwatched_total",
      "Connections closed at once because the kernel would not watch them (fs.epoll.max_user_watches).",
      [](net::Worker& is) { return as_number(is.counters().unwatched.load()); });
}

void Server::register_worker_metrics(unsigned index) {
  const std::string name = std::to_string(index);
  register_loop_metrics(
      name, [this, index] { return index < workers_.size() ? &workers_[index]->loop() : nullptr; });
  metric_callbacks_.push_back(metrics_.callback(
      MetricType::counter, "vignette_worker_allocated_bytes_total",
      "Bytes the worker's thread has ever allocated.", {{"worker", name}}, [this, index] {
        return index < workers_.size() ? as_number(workers_[index]->allocated_bytes()) : 0.0;
      }));
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
  json.key("uptime_seconds").fixed(as_seconds(clock_.now() - started_), 1);
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
  json.key("purges").begin_object().field("taken", purges_.stats().purges);
  json.field("durable", !purges_.is_behind()).end_object();
  write_disks(json, store_.disk_stats());
  write_warm(json, warm_, hot_keeper_.get());
  json.key("origins").raw(servers_.status_json());
  json.end_object();
  return text;
}

}  // namespace vignette::proxy
