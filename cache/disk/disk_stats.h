// What the disk tier counts, per volume. Reaches metrics and /v1/status under these words.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vignette::cache {

enum class DiskCount : std::uint8_t {
  hits,                // reads that gave an object
  reads_queued,        // from the write queue
  reads_ram,           // from the open segment
  reads_resident,      // by preadv2(RWF_NOWAIT)
  reads_pooled,        // by a thread of the pool
  misses_gone,         // the segment was used again, or the volume is away
  misses_other_key,    // a clash of fingerprints
  misses_damaged,      // a checksum was wrong
  misses_error,        // the device reported an error
  misses_no_room,      // the memory tier had no bytes for it
  misses_busy,         // the pool's queue was full
  written,             // objects appended
  refused_once,        // asked for only once, and no unused space is left
  refused_budget,      // the day's bytes are spent
  refused_queue_full,  // bytes waiting for the disk
  refused_queue_old,   // the oldest waits too long
  refused_too_large,   // longer than a needle may be
  refused_offline,     // the volume is away
  erasures,            // appended
  erasures_lost,       // too many owed while the volume was away
  write_errors,        // appends, flushes
  open_errors,         // the volume could not be opened
  taken_offline,       // after too many errors
  snapshots,           // written
  snapshot_errors,
};
inline constexpr std::size_t kDiskCounts = 25;
std::string_view to_string(DiskCount count);

enum class DiskState : std::uint8_t {
  offline,     // cannot be opened, or failed too often; tried again every DiskVolumeOptions::probe_every
  recovering,  // serves what is known of it already
  serving,
};
std::string_view to_string(DiskState state);

struct DiskVolumeStats {
  std::string path;
  DiskState state = DiskState::offline;
  std::uint64_t bytes = 0;       // of the volume
  std::uint64_t used_bytes = 0;  // segments that were written since it was formatted
  std::uint64_t objects = 0;
  std::uint64_t index_bytes = 0;
  std::uint64_t queued_objects = 0;
  std::uint64_t queued_bytes = 0;
  std::uint64_t appended_bytes = 0;  // needles of new objects, since it was opened
  std::uint64_t kept_bytes = 0;      // needles that reclaim wrote again
  std::uint64_t segments_quarantined = 0;
  std::array<std::uint64_t, kDiskCounts> counts{};

  std::uint64_t count(DiskCount which) const { return counts[static_cast<std::size_t>(which)]; }
  // Bytes written for each byte that came in; 1 before anything did.
  double write_amplification() const;
};

struct DiskStats {
  std::vector<DiskVolumeStats> volumes;
  // Sums over the volumes.
  DiskVolumeStats total() const;
  std::size_t offline() const;
};

// Thread-safe.
class DiskCounters {
 public:
  void add(DiskCount which) {
    values_[static_cast<std::size_t>(which)].fetch_add(1, std::memory_order_relaxed);
  }
  std::array<std::uint64_t, kDiskCounts> read() const;

 private:
  std::array<std::atomic<std::uint64_t>, kDiskCounts> values_{};
};

}  // namespace vignette::cache
