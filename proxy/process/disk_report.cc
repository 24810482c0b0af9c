#include "proxy/process/disk_report.h"

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

namespace vignette::proxy {
namespace {

using cache::DiskCount;
using cache::DiskVolumeStats;

// The series of one volume.
class Registration {
 public:
  Registration(const cache::TieredStore& store, std::size_t volume, std::string path, Metrics& metrics,
               std::vector<Metrics::Callback>& callbacks)
      : store_(store), volume_(volume), path_(std::move(path)), metrics_(metrics), callbacks_(callbacks) {}

  void add(MetricType type, std::string_view name, std::string_view help,
           std::function<double(const DiskVolumeStats&)> read) {
    callbacks_.push_back(metrics_.callback(type, name, help, {{"disk", path_}},
                                           [&store = store_, volume = volume_, read = std::move(read)] {
                                             return read(store.disk_stats().volumes[volume]);
                                           }));
  }
  void add_level(std::string_view name, std::string_view help, std::uint64_t DiskVolumeStats::* member) {
    add(MetricType::gauge, name, help,
        [member](const DiskVolumeStats& stats) { return static_cast<double>(stats.*member); });
  }
  // One family, a series for each count.
  void add_counts(std::string_view name, std::string_view help, std::string_view label,
                  std::initializer_list<DiskCount> counts) {
    for (const DiskCount count : counts) {
      callbacks_.push_back(
          metrics_.callback(MetricType::counter, name, help, {{"disk", path_}, {label, to_string(count)}},
                            [&store = store_, volume = volume_, count] {
                              return static_cast<double>(store.disk_stats().volumes[volume].count(count));
                            }));
    }
  }
  void add_count(std::string_view name, std::string_view help, DiskCount count) {
    add(MetricType::counter, name, help,
        [count](const DiskVolumeStats& stats) { return static_cast<double>(stats.count(count)); });
  }

 private:
  const cache::TieredStore& store_;
  std::size_t volume_;
  std::string path_;
  Metrics& metrics_;
  std::vector<Metrics::Callback>& callbacks_;
};

void register_levels(Registration& disk) {
  disk.add_level("vignette_disk_bytes", "Size of the volume; 0 while it is away.", &DiskVolumeStats::bytes);
  disk.add_level("vignette_disk_used_bytes", "Bytes of the volume that were written to since it was made.",
                 &DiskVolumeStats::used_bytes);
  disk.add_level("vignette_disk_objects", "Objects on the volume.", &DiskVolumeStats::objects);
  disk.add_level("vignette_disk_index_bytes", "Memory that the volume's index takes.",
                 &DiskVolumeStats::index_bytes);
  disk.add_level("vignette_disk_queued_objects", "Objects waiting to be written.",
                 &DiskVolumeStats::queued_objects);
  disk.add_level("vignette_disk_queued_bytes", "Bytes waiting to be written.",
                 &DiskVolumeStats::queued_bytes);
  disk.add_level("vignette_disk_segments_quarantined", "Segments set aside after a failed write.",
                 &DiskVolumeStats::segments_quarantined);
  disk.add(MetricType::gauge, "vignette_disk_offline", "1 while the volume is missing or failing.",
           [](const DiskVolumeStats& stats) { return stats.state == cache::DiskState::offline ? 1.0 : 0.0; });
  disk.add(MetricType::gauge, "vignette_disk_write_amplification",
           "Bytes written for each byte that came in.",
           [](const DiskVolumeStats& stats) { return stats.write_amplification(); });
}

void register_counts(Registration& disk) {
  disk.add_count("vignette_disk_hits_total", "Reads that gave an object.", DiskCount::hits);
  disk.add_count("vignette_disk_written_total", "Objects written.", DiskCount::written);
  disk.add_counts(
      "vignette_disk_reads_total", "Reads, by where the bytes were.", "from",
      {DiskCount::reads_queued, DiskCount::reads_ram, DiskCount::reads_resident, DiskCount::reads_pooled});
  disk.add_counts("vignette_disk_misses_total", "Reads that gave no object though nothing failed, by reason.",
                  "reason",
                  {DiskCount::misses_gone, DiskCount::misses_other_key, DiskCount::misses_no_room,
                   DiskCount::misses_busy});
  disk.add_counts(
      "vignette_disk_errors_total", "What went wrong with the volume, by kind.", "kind",
      {DiskCount::misses_damaged, DiskCount::misses_error, DiskCount::write_errors, DiskCount::open_errors,
       DiskCount::snapshot_errors, DiskCount::erasures_lost, DiskCount::taken_offline});
  disk.add_counts("vignette_disk_refused_total", "Objects that stayed in memory only, by reason.", "reason",
                  {DiskCount::refused_once, DiskCount::refused_budget, DiskCount::refused_queue_full,
                   DiskCount::refused_queue_old, DiskCount::refused_too_large, DiskCount::refused_offline});
}

}  // namespace

void register_disk_metrics(const cache::TieredStore& store, Metrics& metrics,
                           std::vector<Metrics::Callback>& callbacks) {
  const cache::DiskStats stats = store.disk_stats();
  for (std::size_t i = 0; i < stats.volumes.size(); ++i) {
    Registration disk(store, i, stats.volumes[i].path, metrics, callbacks);
    register_levels(disk);
    register_counts(disk);
  }
}

void write_disks(JsonWriter& json, const cache::DiskStats& stats) {
  json.key("disks").begin_array();
  for (const DiskVolumeStats& disk : stats.volumes) {
    json.begin_object().field("path", disk.path).field("state", to_string(disk.state));
    json.field("bytes", disk.bytes).field("used_bytes", disk.used_bytes).field("objects", disk.objects);
    json.field("index_bytes", disk.index_bytes);
    json.field("queued_objects", disk.queued_objects).field("queued_bytes", disk.queued_bytes);
    json.field("segments_quarantined", disk.segments_quarantined);
    json.key("write_amplification").fixed(disk.write_amplification(), 2);
    json.key("counts").begin_object();
    for (std::size_t i = 0; i < cache::kDiskCounts; ++i) {
      const auto count = static_cast<DiskCount>(i);
      json.field(to_string(count), disk.count(count));
    }
    json.end_object().end_object();
  }
  json.end_array();
}

}  // namespace vignette::proxy
