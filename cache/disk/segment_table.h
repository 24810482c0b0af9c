// What every segment of a volume is: its generation, who reads it, and in which order they are used again.
//
//   free -> open -> sealed -> drained -> open ...        a write error: open | drained -> quarantined -> free
//
// Generation and pins of a segment share one atomic word: a reader pins only the generation it knows, and a
// drained segment (generation 0) takes no new pins, so once its pins are gone nobody can read it.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cache/disk/format.h"

namespace vignette::cache {

class SegmentTable;

// Keeps a segment from being used again. Movable; thread-safe in the way of unique_ptr; must not outlive the
// volume.
class SegmentPin {
 public:
  SegmentPin() = default;
  SegmentPin(SegmentPin&& other) noexcept
      : table_(std::exchange(other.table_, nullptr)), segment_(other.segment_) {}
  SegmentPin& operator=(SegmentPin&& other) noexcept {
    std::swap(table_, other.table_);
    std::swap(segment_, other.segment_);
    return *this;
  }
  ~SegmentPin();
  explicit operator bool() const { return table_ != nullptr; }

 private:
  friend class SegmentTable;
  SegmentPin(const SegmentTable* table, std::uint32_t segment) : table_(table), segment_(segment) {}

  const SegmentTable* table_ = nullptr;
  std::uint32_t segment_ = 0;
};

// Of one segment, as snapshots keep it.
struct SegmentRecord {
  std::uint32_t generation = 0;       // 0: free or drained; kQuarantinedGeneration
  std::uint32_t entries = 0;          // needles, when sealed
  std::uint64_t oldest_sequence = 0;  // of its objects; all ones: none
};
static_assert(sizeof(SegmentRecord) == 16);
inline constexpr std::uint32_t kQuarantinedGeneration = 0xFFFFFFFF;
inline constexpr std::uint64_t kNoSequence = ~std::uint64_t{0};

// size(), generation() and pin() are thread-safe; everything else is for the volume's writer.
class SegmentTable {
 public:
  explicit SegmentTable(std::uint32_t segments);

  std::uint32_t size() const { return segments_; }
  // 0: holds nothing that may be read.
  std::uint32_t generation(std::uint32_t segment) const;
  // Empty: it has another generation by now.
  SegmentPin pin(std::uint32_t segment, std::uint32_t generation) const;

  bool is_pinned(std::uint32_t segment) const;
  const SegmentRecord& record(std::uint32_t segment) const { return records_[segment]; }
  std::optional<std::uint32_t> oldest_sealed() const;
  // The one that is opened next, when nothing is drained.
  std::optional<std::uint32_t> next_free() const;
  std::size_t free_segments() const { return free_.size(); }
  std::size_t quarantined_segments() const { return quarantined_; }
  // In the order in which they are used again, unless something fails: free ones, then the oldest.
  std::vector<std::uint32_t> order_of_use() const;
  // The smallest sequence of anything sealed; kNoSequence when there is nothing.
  std::uint64_t oldest_sequence() const;

  void set_open(std::uint32_t segment, std::uint32_t generation);  // was drained or free
  void set_sealed(std::uint32_t segment, std::uint32_t entries, std::uint64_t oldest_sequence);
  void set_drained(std::uint32_t segment);
  void set_quarantined(std::uint32_t segment);
  // Quarantined segments become free again; how many.
  std::size_t lift_quarantine();
  // What a footer says of a sealed segment.
  void describe(std::uint32_t segment, std::uint32_t entries, std::uint64_t oldest_sequence);
  // What recovery found; sealed ones sorted by generation, the others free.
  void restore(std::vector<SegmentRecord> records);

 private:
  friend class SegmentPin;
  void unpin(std::uint32_t segment) const;
  void publish(std::uint32_t segment, std::uint32_t generation);
  void forget(std::uint32_t segment);

  // generation in the upper half, pins in the lower.
  const std::uint32_t segments_;
  mutable std::unique_ptr<std::atomic<std::uint64_t>[]> words_;
  std::vector<SegmentRecord> records_;
  std::deque<std::uint32_t> free_, sealed_;  // sealed: oldest first
  std::size_t quarantined_ = 0;
};

}  // namespace vignette::cache
