// Brings back what a volume holds after a start: the last snapshot of the index, the footers of segments
// sealed since, and a scan of the newest two and of what has no footer. Without a sound snapshot: all
// footers, in log order.
//
//   table (whose generation is where) -> snapshot -> footers, oldest first -> tails -> done
//
// Reading and appending are possible once the table is there (is_started()); entries arrive bit by bit
// meanwhile. They come in log order, so the newer of two wins by is_older(), whether it came from here or
// from an append. Whatever fails its checksum is skipped and counted. Nothing is written but the footers of
// segments that lack one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "cache/disk/volume.h"

namespace vignette::cache {

struct SnapshotEntry;

struct RecoveredEntry {
  std::uint64_t hash = 0;  // DiskIndex::hash_of() the key
  Location location;
  std::uint32_t flags = 0;  // kNeedle...; 0 when it comes from a snapshot
  bool is_erasure = false;  // forget what is older than `location` under this hash
  bool was_hit = false;     // as the snapshot had it
};

struct RecoveryStats {
  std::uint64_t snapshot_entries = 0;  // emitted
  std::uint64_t snapshot_stale = 0;    // of segments that were used again since
  bool snapshot_used = false;
  bool snapshot_damaged = false;  // (or of another volume) so all footers were read
  std::uint64_t headers_read = 0;
  std::uint64_t footers_read = 0;
  std::uint64_t footers_damaged = 0;  // those segments were scanned instead
  std::uint64_t segments_scanned = 0;
  std::uint64_t log_entries = 0;      // emitted from footers and scans
  std::uint64_t needles_damaged = 0;  // met by scans
  std::uint64_t read_errors = 0;
  bool cut_short = false;  // by kMostErasures
};

// Writer's thread of the volume. Make it right after the volume; `volume` must outlive it.
class Recovery {
 public:
  using OnEntry = std::function<void(const RecoveredEntry&)>;
  using OnBlock = std::function<void(std::span<const RecoveredEntry>)>;

  // Erasures that are remembered while this runs. One more ends it early: what was not emitted is a miss.
  static constexpr std::size_t kMostErasures = 64 * 1024;
  // So many generations are left out at every start: writes of a crashed run that were lost may have used
  // some, and what of theirs did reach the disk must not pass for what is written from now on.
  static constexpr std::uint32_t kGenerationGap = 4096;

  // Both are called inside step(). `on_block` has the entries of the snapshot, where there are millions, many
  // at a time: they are older than all that is appended after the start. Without it on_entry has them too.
  Recovery(Volume& volume, OnEntry on_entry, OnBlock on_block = {});
  ~Recovery();

  // One bounded piece: up to 64 Ki entries of the snapshot, one segment, or 64 headers. False: done.
  bool step();
  bool is_started() const { return phase_ > Phase::headers; }  // appending works
  bool is_done() const { return phase_ == Phase::done; }
  // After the first step(): about how many objects the snapshot will bring, never fewer; 0 without one.
  std::uint64_t expected_objects() const;
  // Between steps. An erasure while this runs: entries older than `by` (the location of append_erasure()) are
  // not emitted. For an append that is later than what comes from here the callback compares locations
  // instead.
  void forget(const Key& key, const Location& by);
  const RecoveryStats& stats() const { return stats_; }

 private:
  enum class Phase : std::uint8_t { begin, headers, snapshot, log, done };
  struct Work;

  void begin();
  void read_headers();
  void look_at(std::uint32_t segment);
  void start_volume();
  void read_snapshot();
  std::optional<RecoveredEntry> look_up(const SnapshotEntry& packed);
  void plan_log(std::uint32_t from_generation);
  void read_log();
  void scan(const SegmentPlace& place);
  void emit_log(const SegmentPlace& place, const std::vector<FooterEntry>& entries);
  bool is_erased(const RecoveredEntry& entry) const;
  void emit(const RecoveredEntry& entry);
  void finish();

  Volume& volume_;
  OnEntry on_entry_;
  OnBlock on_block_;
  RecoveryStats stats_;
  Phase phase_ = Phase::begin;
  std::unique_ptr<Work> work_;
};

// Writes the index beside the volume, so that the next start need not read every footer. Begin it on the
// writer's thread at a moment when everything appended is in the index; what is appended, moved or erased
// while entries are added is in the log and need not be right here.
class SnapshotWriter {
 public:
  // Code::unavailable while the volume is not recovered.
  static Result<SnapshotWriter> begin(const Volume& volume);
  SnapshotWriter(SnapshotWriter&&) noexcept;
  SnapshotWriter& operator=(SnapshotWriter&&) noexcept;
  ~SnapshotWriter();  // not committed: the old snapshot stays

  // One thread at a time, any. `file_offset`, `bytes`: as Volume::locate() takes them.
  Result<void> add(std::uint64_t hash, std::uint64_t file_offset, std::uint32_t bytes, bool was_hit);
  // Writes, fdatasync, rename. Blocks on the disk.
  Result<void> commit();

 private:
  struct Parts;
  explicit SnapshotWriter(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace vignette::cache
