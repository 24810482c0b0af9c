// One volume: a pre-allocated file of segments, written as a log.
//
//   append -> open segment (RAM, readable at once) -> flushed every 256 KiB or second -> sealed with a footer
//          -> oldest of all -> reclaimed: what the policy keeps goes to the open segment again -> reused
//
// Threads: ONE writer thread calls everything but what is marked Thread-safe. The writer may block on the
// disk; readers never wait for it (plan() takes a mutex held for a copy of a pointer).
//
// How a read goes, on any thread:
//   auto location = volume.locate(offset, bytes, generation_bits);      // from the index
//   auto plan = volume.plan(*location);                                 // pins; nullopt: it has gone, a miss
//   plan->ram, or volume.file().pread[_nowait](buffer of plan->bytes, plan->file_offset)
//   auto needle = volume.verify(*plan, bytes, key, key_string);         // generation, checksums, key
//   needle->to_object(), then let go of the plan
//
// How the index is kept right, on the writer's thread: after append() put the location; reclaim calls
// ReclaimPolicy for every needle of the segment that goes. A location that plan() refuses is dead.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "cache/disk/disk_file.h"
#include "cache/disk/format.h"
#include "cache/disk/needle.h"
#include "cache/disk/segment_table.h"
#include "cache/object.h"

namespace vignette::cache {

inline constexpr std::string_view kVolumeFile = "volume";  // names inside the volume's folder
inline constexpr std::string_view kSnapshotFile = "index";
inline constexpr std::string_view kNewSnapshotFile = "index.new";

struct VolumeOptions {
  std::uint64_t bytes = 0;  // of the file; rounded down to whole segments, at least kFewestSegments of them
  std::uint32_t segment_bytes = kDefaultSegmentBytes;  // power of two; fixed once a volume is formatted
  std::uint32_t flush_bytes = 256 * 1024;              // so much is written at once
  Duration flush_after = std::chrono::seconds(1);      // and what is older than this
  std::uint32_t writeback_bytes = 1024 * 1024;         // dirty pages are handed to the device in such pieces
};

// Asked on the writer's thread while a segment is reclaimed. It decides with what it has in RAM; it must not
// call the volume's writing functions.
class ReclaimPolicy {
 public:
  virtual ~ReclaimPolicy() = default;
  // Unread: whether it deserves another round (it is still what the index has, was hit, is not expired or
  // purged). Newest first; not asked once a quarter of a segment has been kept.
  virtual bool wants(const FooterEntry& entry, const Location& location) = 0;
  // The same after it was read, for what only the object can tell (its tags).
  virtual bool confirms(const NeedleView& needle) = 0;
  // It lies at `to` now; `from` is readable until this returns.
  virtual void on_moved(const FooterEntry& entry, const Location& from, const Location& to) = 0;
  // It is gone. Also called for needles that were overwritten or erased long ago: compare locations.
  virtual void on_dropped(const FooterEntry& entry, const Location& location) = 0;
};

// What a reader has to read. Keeps the segment from being used again as long as it lives.
struct ReadPlan {
  Location location;
  std::uint64_t file_offset = 0;
  std::uint32_t bytes = 0;  // to read
  Slice ram;                // not empty: the bytes are here, nothing needs to be read
  SegmentPin pin;
};

// Counts since the volume was opened, and levels. Thread-safe to read.
struct VolumeCounters {
  std::atomic<std::uint64_t> appended{0};        // objects
  std::atomic<std::uint64_t> appended_bytes{0};  // their needles
  std::atomic<std::uint64_t> kept{0};            // by reclaim
  std::atomic<std::uint64_t> kept_bytes{0};
  std::atomic<std::uint64_t> dropped{0};        // by reclaim
  std::atomic<std::uint64_t> written_bytes{0};  // to the file, everything included
  std::atomic<std::uint64_t> sealed{0};         // segments
  std::atomic<std::uint64_t> reclaimed{0};      // segments
  std::atomic<std::uint64_t> write_errors{0};
  std::atomic<std::uint64_t> damaged{0};  // needles and footers that failed when reclaim read them
  std::atomic<std::uint64_t> refused_too_long{0};
  std::atomic<std::uint64_t> refused_pinned{0};        // appends while readers held the next segment
  std::atomic<std::uint64_t> segments_quarantined{0};  // level
  std::atomic<std::uint64_t> segments_free{0};         // level: never used, or nothing of worth in them
};

class OpenSegment;

class Volume {
 public:
  // Finds or makes the volume file, checks it, grows or shrinks it to options.bytes. ENOSPC makes it as large
  // as there is room, with a warning. Never writes over what it does not know: a file that is not a volume
  // (malformed), of another format version or segment size (unsupported), with broken superblocks (malformed)
  // or in use by another process (refused) is an error whose `where` is a sentence for a person. `directory`,
  // `clock` and `log` must outlive it. Nothing can be appended or read until Recovery (recovery.h) has read
  // the segments' table.
  static Result<std::unique_ptr<Volume>> open(DiskDirectory& directory, const VolumeOptions& options,
                                              const Clock& clock, Logger& log);
  // Writes nothing: call close() for an orderly end.
  ~Volume();
  Volume(const Volume&) = delete;
  Volume& operator=(const Volume&) = delete;

  // Immutable after construction.
  std::uint32_t segments() const { return table_.size(); }
  std::uint32_t segment_bytes() const { return options_.segment_bytes; }
  std::uint32_t longest_needle() const { return cache::longest_needle(options_.segment_bytes); }
  std::uint64_t bytes() const { return kSegmentsBegin + std::uint64_t{segments()} * segment_bytes(); }
  const Uuid& uuid() const { return uuid_; }
  std::uint32_t seed() const { return seed_; }
  DiskFile& file() const { return *file_; }
  DiskDirectory& directory() const { return directory_; }
  const VolumeCounters& counters() const { return counters_; }

  // --- Thread-safe.
  std::uint64_t file_offset(const Location& location) const {
    return kSegmentsBegin + std::uint64_t{location.segment} * segment_bytes() + location.offset;
  }
  // Back from what an index keeps; nullopt: that segment has another generation by now (compared by the low
  // 16 bits), or the place is none.
  std::optional<Location> locate(std::uint64_t file_offset, std::uint32_t bytes,
                                 std::uint16_t generation_bits) const;
  // nullopt: the segment was given away, or `location` is not one.
  std::optional<ReadPlan> plan(const Location& location) const;
  // `bytes` is what was read for the plan. The view lies in it.
  std::expected<NeedleView, NeedleFault> verify(const ReadPlan& plan, std::string_view bytes, const Key& key,
                                                std::string_view key_string) const;
  // Whether segments are left that nothing was ever written to.
  bool has_unused_space() const { return counters_.segments_free.load(std::memory_order_relaxed) > 0; }

  // --- Writer thread. Before that: set once, must outlive the volume's use. Without one nothing is kept.
  void set_reclaim_policy(ReclaimPolicy* policy) { policy_ = policy; }
  // Copies a complete object into the open segment: readable at once by its location.
  //   limit: longer than longest_needle()          unsupported: values the format cannot hold
  //   unavailable: the table is not read yet, or every segment is pinned or quarantined; try again later
  //   io: the segment could not be written; what the open segment held is lost (its locations are dead)
  Result<Location> append(const Object& object);
  // From here on older needles of this key are dead, also after a restart. Same errors.
  Result<Location> append_erasure(const Key& key);
  // Writes what is due. Call it at next_flush(), or more often. Errors as append().
  Result<void> tick();
  // When something that is in RAM only becomes due; nullopt: nothing is.
  std::optional<TimePoint> next_flush() const;
  // Writes everything that is in RAM only.
  Result<void> flush();
  // Flushes and seals the open segment, so that the next start has nothing to scan.
  Result<void> close();
  // Segments that failed are tried again; how many.
  std::size_t lift_quarantine();
  // True when Recovery has come to its end: what it emitted and what was appended is everything there is.
  bool is_recovered() const { return is_recovered_; }
  // The smallest ObjectHead::sequence that the log may hold, now or after a crash: records of purges at or
  // before it are no longer needed. Never falls, but for an append of something older.
  std::uint64_t oldest_sequence() const;
  const SegmentTable& table() const { return table_; }
  SegmentPlace place_of(std::uint32_t segment) const;
  // The generation of the open segment, or the next to be given out when none is open.
  std::uint32_t current_generation() const;

 private:
  friend class Recovery;
  friend class Reclaim;
  friend class EraseWalk;
  struct Parts;
  Volume(Parts parts, DiskDirectory& directory, const VolumeOptions& options, const Clock& clock,
         Logger& log);

  void start(std::vector<SegmentRecord> records, std::uint32_t next_generation);
  Result<void> make_room(std::uint32_t bytes);
  Result<Location> finish_append(const FooterEntry& entry);
  Result<void> open_next();
  Result<void> mark_run();
  void prepare_next();
  bool drain(std::uint32_t segment);
  Result<void> mark_drained(std::uint32_t segment);
  Result<void> seal();
  Result<void> or_quarantine(Result<void> written);
  void quarantine(std::uint32_t segment, const Error& error);
  void set_open(std::unique_ptr<OpenSegment> segment);
  void update_levels();

  DiskDirectory& directory_;
  const VolumeOptions options_;
  const Clock& clock_;
  Logger& log_;
  const std::unique_ptr<DiskFile> file_;
  const Uuid uuid_;
  const std::uint32_t seed_;
  SegmentTable table_;
  ReclaimPolicy* policy_ = nullptr;
  bool is_started_ = false;
  bool is_recovered_ = false;
  bool is_run_marked_ = false;
  std::uint32_t next_generation_ = 1;
  std::optional<std::uint32_t> drained_;  // is opened next
  // Of the segments drained last: until they are written over, a crash may bring their needles back.
  std::array<std::uint64_t, 3> drained_sequences_{};
  BlockRef spare_;                 // the buffer of the segment before, unless readers hold it
  mutable std::mutex open_mutex_;  // guards open_ against readers; the writer reads it without
  std::unique_ptr<OpenSegment> open_;
  std::atomic<std::uint32_t> open_generation_{0};  // of open_; 0: none
  VolumeCounters counters_;
};

}  // namespace vignette::cache
