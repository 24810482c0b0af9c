#include "cache/disk/disk_stats.h"

namespace vignette::cache {
namespace {

constexpr std::array<std::string_view, kDiskCounts> kNames = {
    "hit",        "read-queued",   "read-ram",  "read-resident", "read-pooled", "gone",         "other-key",
    "damaged",    "read-error",    "no-room",   "busy",          "written",     "asked-once",   "over-budget",
    "queue-full", "queue-old",     "too-large", "offline",       "erasure",     "erasure-lost", "write-error",
    "open-error", "taken-offline", "snapshot",  "snapshot-error"};

}  // namespace

std::string_view to_string(DiskCount count) { return kNames[static_cast<std::size_t>(count)]; }

std::string_view to_string(DiskState state) {
  switch (state) {
    case DiskState::offline:
      return "offline";
    case DiskState::recovering:
      return "recovering";
    case DiskState::serving:
      return "serving";
  }
  return "unknown";
}

double DiskVolumeStats::write_amplification() const {
  if (appended_bytes == 0) return 1.0;
  return static_cast<double>(appended_bytes + kept_bytes) / static_cast<double>(appended_bytes);
}

DiskVolumeStats DiskStats::total() const {
  DiskVolumeStats sum;
  for (const DiskVolumeStats& volume : volumes) {
    sum.bytes += volume.bytes;
    sum.used_bytes += volume.used_bytes;
    sum.objects += volume.objects;
    sum.index_bytes += volume.index_bytes;
    sum.queued_objects += volume.queued_objects;
    sum.queued_bytes += volume.queued_bytes;
    sum.appended_bytes += volume.appended_bytes;
    sum.kept_bytes += volume.kept_bytes;
    sum.segments_quarantined += volume.segments_quarantined;
    for (std::size_t i = 0; i < kDiskCounts; ++i) sum.counts[i] += volume.counts[i];
  }
  return sum;
}

std::size_t DiskStats::offline() const {
  std::size_t count = 0;
  for (const DiskVolumeStats& volume : volumes) count += volume.state == DiskState::offline;
  return count;
}

std::array<std::uint64_t, kDiskCounts> DiskCounters::read() const {
  std::array<std::uint64_t, kDiskCounts> out{};
  for (std::size_t i = 0; i < kDiskCounts; ++i) out[i] = values_[i].load(std::memory_order_relaxed);
  return out;
}

}  // namespace vignette::cache
