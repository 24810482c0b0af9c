#include "cache/ghost.h"

#include <bit>

namespace vignette::cache {

std::uint32_t GhostQueue::fingerprint_of(std::uint64_t hash) {
  const auto fingerprint = static_cast<std::uint32_t>(hash >> 16);
  return fingerprint ? fingerprint : 1;
}

GhostQueue::Entry* GhostQueue::bucket_of(std::uint32_t fingerprint) {
  const std::size_t buckets = entries_.size() / kWays;
  return entries_.data() + (fingerprint & (buckets - 1)) * kWays;
}

bool GhostQueue::is_live(const Entry& entry, std::size_t capacity) const {
  return entry.fingerprint != 0 && additions_ - entry.added < capacity;
}

void GhostQueue::place(Entry entry, std::size_t capacity) {
  Entry* bucket = bucket_of(entry.fingerprint);
  Entry* chosen = bucket;
  for (Entry* slot = bucket; slot != bucket + kWays; ++slot) {
    if (slot->fingerprint == entry.fingerprint || !is_live(*slot, capacity)) {
      chosen = slot;
      break;
    }
    if (additions_ - slot->added > additions_ - chosen->added) chosen = slot;
  }
  *chosen = entry;
}

void GhostQueue::grow(std::size_t capacity) {
  std::vector<Entry> old(std::bit_ceil(capacity + capacity / 2 + kWays));
  old.swap(entries_);
  for (const Entry& entry : old) {
    if (is_live(entry, capacity)) place(entry, capacity);
  }
}

void GhostQueue::add(std::uint64_t hash, std::size_t capacity) {
  if (capacity == 0) return;
  if (entries_.size() < capacity + capacity / 2) grow(capacity);
  ++additions_;
  place({fingerprint_of(hash), additions_}, capacity);
}

bool GhostQueue::take(std::uint64_t hash, std::size_t capacity) {
  if (entries_.empty()) return false;
  const std::uint32_t fingerprint = fingerprint_of(hash);
  Entry* bucket = bucket_of(fingerprint);
  for (Entry* slot = bucket; slot != bucket + kWays; ++slot) {
    if (slot->fingerprint != fingerprint) continue;
    const bool was_live = is_live(*slot, capacity);
    *slot = {};
    return was_live;
  }
  return false;
}

}  // namespace vignette::cache
