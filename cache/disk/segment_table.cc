#include "cache/disk/segment_table.h"

#include <algorithm>

#include "base/check.h"

namespace vignette::cache {
namespace {

constexpr std::uint64_t kPinsMask = 0xFFFFFFFF;

constexpr std::uint32_t generation_of(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }

}  // namespace

SegmentPin::~SegmentPin() {
  if (table_) table_->unpin(segment_);
}

SegmentTable::SegmentTable(std::uint32_t segments)
    : segments_(segments),
      words_(std::make_unique<std::atomic<std::uint64_t>[]>(segments)),
      records_(segments) {
  for (std::uint32_t segment = 0; segment < segments; ++segment) free_.push_back(segment);
}

std::uint32_t SegmentTable::generation(std::uint32_t segment) const {
  return segment < size() ? generation_of(words_[segment].load(std::memory_order_acquire)) : 0;
}

SegmentPin SegmentTable::pin(std::uint32_t segment, std::uint32_t generation) const {
  if (segment >= size() || generation == 0) return {};
  std::uint64_t word = words_[segment].load(std::memory_order_acquire);
  while (generation_of(word) == generation && (word & kPinsMask) != kPinsMask) {
    if (words_[segment].compare_exchange_weak(word, word + 1, std::memory_order_acq_rel)) {
      return SegmentPin(this, segment);
    }
  }
  return {};
}

void SegmentTable::unpin(std::uint32_t segment) const {
  words_[segment].fetch_sub(1, std::memory_order_release);
}

bool SegmentTable::is_pinned(std::uint32_t segment) const {
  return (words_[segment].load(std::memory_order_acquire) & kPinsMask) != 0;
}

std::optional<std::uint32_t> SegmentTable::oldest_sealed() const {
  if (sealed_.empty()) return std::nullopt;
  return sealed_.front();
}

std::optional<std::uint32_t> SegmentTable::next_free() const {
  if (free_.empty()) return std::nullopt;
  return free_.front();
}

std::vector<std::uint32_t> SegmentTable::order_of_use() const {
  std::vector<std::uint32_t> order(free_.begin(), free_.end());
  order.insert(order.end(), sealed_.begin(), sealed_.end());
  return order;
}

std::uint64_t SegmentTable::oldest_sequence() const {
  std::uint64_t oldest = kNoSequence;
  for (const std::uint32_t segment : sealed_) oldest = std::min(oldest, records_[segment].oldest_sequence);
  return oldest;
}

// Pins of an earlier generation survive in the lower half.
void SegmentTable::publish(std::uint32_t segment, std::uint32_t generation) {
  std::uint64_t word = words_[segment].load(std::memory_order_relaxed);
  while (!words_[segment].compare_exchange_weak(word, (std::uint64_t{generation} << 32) | (word & kPinsMask),
                                                std::memory_order_acq_rel)) {
  }
}

void SegmentTable::forget(std::uint32_t segment) {
  std::erase(free_, segment);
  std::erase(sealed_, segment);
}

void SegmentTable::set_open(std::uint32_t segment, std::uint32_t generation) {
  VCHECK(!is_pinned(segment));
  forget(segment);
  records_[segment] = {generation, 0, kNoSequence};
  publish(segment, generation);
}

void SegmentTable::set_sealed(std::uint32_t segment, std::uint32_t entries, std::uint64_t oldest_sequence) {
  describe(segment, entries, oldest_sequence);
  sealed_.push_back(segment);
}

void SegmentTable::describe(std::uint32_t segment, std::uint32_t entries, std::uint64_t oldest_sequence) {
  records_[segment].entries = entries;
  records_[segment].oldest_sequence = oldest_sequence;
}

void SegmentTable::set_drained(std::uint32_t segment) {
  forget(segment);
  records_[segment] = {};
  publish(segment, 0);
}

void SegmentTable::set_quarantined(std::uint32_t segment) {
  forget(segment);
  records_[segment] = {kQuarantinedGeneration, 0, kNoSequence};
  publish(segment, 0);
  ++quarantined_;
}

std::size_t SegmentTable::lift_quarantine() {
  std::size_t lifted = 0;
  for (std::uint32_t segment = 0; segment < size(); ++segment) {
    if (records_[segment].generation != kQuarantinedGeneration || is_pinned(segment)) continue;
    records_[segment] = {};
    free_.push_back(segment);
    ++lifted;
  }
  quarantined_ -= lifted;
  return lifted;
}

void SegmentTable::restore(std::vector<SegmentRecord> records) {
  VCHECK(records.size() == segments_);
  records_ = std::move(records);
  free_.clear();
  sealed_.clear();
  for (std::uint32_t segment = 0; segment < size(); ++segment) {
    (records_[segment].generation == 0 ? free_ : sealed_).push_back(segment);
    publish(segment, records_[segment].generation);
  }
  std::sort(sealed_.begin(), sealed_.end(), [this](std::uint32_t a, std::uint32_t b) {
    return records_[a].generation < records_[b].generation;
  });
}

}  // namespace vignette::cache
