#include "cache/disk/disk_index.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace vignette::cache {
namespace {

constexpr unsigned kShardHashBits = DiskIndex::kHashBits - 8;
constexpr std::uint64_t kShardHashMask = (std::uint64_t{1} << kShardHashBits) - 1;
constexpr unsigned kBytesBits = 64 - kShardHashBits;
constexpr std::uint64_t kBytesMask = (std::uint64_t{1} << kBytesBits) - 1;
constexpr unsigned kOffsetBits = 42;
constexpr std::uint64_t kOffsetMask = (std::uint64_t{1} << kOffsetBits) - 1;
constexpr unsigned kHitBit = kOffsetBits + 16;
constexpr std::uint64_t kHit = std::uint64_t{1} << kHitBit;

constexpr std::size_t kLoadPercent = 87;
constexpr std::size_t kFirstBuckets = 4;
// A walk longer than this is given up and the shard grows; at 87 % load it is about three steps.
constexpr int kMaxKicks = 256;
// Entries that are put in under one lock: others wait for it some 50 us at most.
constexpr std::size_t kMostALock = 1024;

std::uint64_t slot_hash(std::uint64_t low) { return low >> kBytesBits; }

}  // namespace

DiskIndex::DiskIndex(const HashSecret& secret) : shards_(std::make_unique<std::array<Shard, kShards>>()) {
  for (Shard& shard : *shards_) shard.secret = secret;
}
DiskIndex::~DiskIndex() = default;

std::uint64_t DiskIndex::hash_in_shard(std::uint64_t hash) { return hash & kShardHashMask; }

DiskIndex::Slot DiskIndex::pack(std::uint64_t hash, const DiskPlace& place) {
  VCHECK(place.bytes > 0 && place.bytes % kUnit == 0 && place.bytes <= kMaxBytes);
  VCHECK(place.offset % kUnit == 0 && place.offset <= kMaxOffset);
  Slot slot;
  slot.low = hash_in_shard(hash) << kBytesBits | place.bytes / kUnit;
  slot.high = place.offset / kUnit | std::uint64_t{place.generation} << kOffsetBits;
  if (place.was_hit) slot.high |= kHit;
  return slot;
}

std::uint64_t DiskIndex::offset_of(const Slot& slot) { return (slot.high & kOffsetMask) * kUnit; }

DiskPlace DiskIndex::unpack(const Slot& slot) {
  return {.offset = offset_of(slot),
          .bytes = static_cast<std::uint32_t>((slot.low & kBytesMask) * kUnit),
          .generation = static_cast<std::uint16_t>(slot.high >> kOffsetBits),
          .was_hit = (slot.high & kHit) != 0};
}

// `even`: any number of 64 bits, as likely as any other.
std::size_t DiskIndex::Shard::bucket_at(std::uint64_t even) const {
  return static_cast<std::size_t>((even >> kBytesBits) * buckets.size() >> kShardHashBits);
}
// Both follow from the bits in the slot, so a shard can be rebuilt at any size.
std::size_t DiskIndex::Shard::first_bucket(std::uint64_t hash) const {
  return bucket_at(spread(hash, 0, secret));
}
std::size_t DiskIndex::Shard::second_bucket(std::uint64_t hash) const {
  return bucket_at(spread(0, hash, secret));
}

DiskIndex::Slot* DiskIndex::Shard::find(std::uint64_t hash) {
  if (buckets.empty()) return nullptr;
  hash = hash_in_shard(hash);
  for (const std::size_t bucket : {first_bucket(hash), second_bucket(hash)}) {
    for (Slot& slot : buckets[bucket]) {
      if (slot_hash(slot.low) == hash && (slot.low & kBytesMask) != 0) return &slot;
    }
  }
  return nullptr;
}

DiskIndex::Slot* DiskIndex::Shard::free_slot(std::size_t bucket) {
  for (Slot& slot : buckets[bucket]) {
    if (slot.low == 0) return &slot;
  }
  return nullptr;
}

// False: after kMaxKicks steps `slot` is what has no place, another one perhaps than came in.
bool DiskIndex::Shard::place(Slot& slot) {
  std::size_t bucket = first_bucket(slot_hash(slot.low));
  for (int kick = 0; kick < kMaxKicks; ++kick) {
    const std::uint64_t hash = slot_hash(slot.low);
    for (const std::size_t choice : {first_bucket(hash), second_bucket(hash)}) {
      if (Slot* free = free_slot(choice)) {
        *free = slot;
        return true;
      }
    }
    dice_ ^= dice_ << 13;
    dice_ ^= dice_ >> 7;
    dice_ ^= dice_ << 17;
    std::swap(slot, buckets[bucket][dice_ % kWays]);
    const std::uint64_t displaced = slot_hash(slot.low);
    bucket = first_bucket(displaced) == bucket ? second_bucket(displaced) : first_bucket(displaced);
  }
  return false;
}

// `extra`: one that has no place yet; empty: none.
void DiskIndex::Shard::rebuild(std::size_t bucket_count, Slot extra) {
  std::vector<Bucket> old = std::exchange(buckets, std::vector<Bucket>(bucket_count));
  const auto fill = [&] {
    if (Slot moved = extra; moved.low != 0 && !place(moved)) return false;
    for (const Bucket& bucket : old) {
      for (Slot slot : bucket) {
        if (slot.low != 0 && !place(slot)) return false;
      }
    }
    return true;
  };
  while (!fill()) buckets = std::vector<Bucket>(buckets.size() + buckets.size() / 16 + 1);
}

bool DiskIndex::Shard::is_full() const { return (count + 1) * 100 > buckets.size() * kWays * kLoadPercent; }

void DiskIndex::Shard::add(Slot slot) {
  if (is_full()) {
    rebuild(std::max(kFirstBuckets, buckets.size() + buckets.size() / 16 + 1), {});
  }
  ++count;
  if (!place(slot)) rebuild(buckets.size() + buckets.size() / 16 + 1, slot);
}

// What find() and add() do, in one look at both buckets.
void DiskIndex::Shard::add_absent(const Slot& slot) {
  if (is_full()) {
    if (!find(slot_hash(slot.low))) add(slot);
    return;
  }
  const std::uint64_t hash = slot_hash(slot.low);
  Slot* free = nullptr;
  for (const std::size_t bucket : {first_bucket(hash), second_bucket(hash)}) {
    for (Slot& there : buckets[bucket]) {
      if (there.low == 0) {
        if (!free) free = &there;
      } else if (slot_hash(there.low) == hash) {
        return;
      }
    }
  }
  if (!free) return add(slot);
  *free = slot;
  ++count;
}

void DiskIndex::Shard::remove(Slot* slot) {
  *slot = {};
  --count;
}

void DiskIndex::Shard::clear() {
  buckets = {};
  count = 0;
}

void DiskIndex::Shard::reserve(std::size_t objects) {
  const std::size_t wanted = objects * 100 / (kWays * kLoadPercent) + 1;
  if (wanted > buckets.size()) rebuild(wanted, {});
}

std::optional<DiskPlace> DiskIndex::find(std::uint64_t hash) const {
  const Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  const Slot* slot = shard.find(hash);
  if (!slot) return std::nullopt;
  return unpack(*slot);
}

std::optional<DiskPlace> DiskIndex::find_and_mark(std::uint64_t hash) {
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  Slot* slot = shard.find(hash);
  if (!slot) return std::nullopt;
  slot->high |= kHit;
  return unpack(*slot);
}

std::optional<DiskPlace> DiskIndex::put(std::uint64_t hash, const DiskPlace& place) {
  const Slot fresh = pack(hash, place);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  if (Slot* slot = shard.find(hash)) return unpack(std::exchange(*slot, fresh));
  shard.add(fresh);
  return std::nullopt;
}

bool DiskIndex::put_if_absent(std::uint64_t hash, const DiskPlace& place) {
  const Slot fresh = pack(hash, place);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  if (shard.find(hash)) return false;
  shard.add(fresh);
  return true;
}

void DiskIndex::put_absent(std::span<const Entry> entries) {
  while (!entries.empty()) {
    Shard& shard = shard_of(entries.front().hash);
    const std::lock_guard lock(shard.mutex);
    std::size_t count = 0;
    for (const Entry& entry : entries.first(std::min(entries.size(), kMostALock))) {
      if (&shard_of(entry.hash) != &shard) break;
      shard.add_absent(pack(entry.hash, entry.place));
      ++count;
    }
    entries = entries.subspan(count);
  }
}

std::optional<DiskPlace> DiskIndex::erase(std::uint64_t hash) {
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  Slot* slot = shard.find(hash);
  if (!slot) return std::nullopt;
  const DiskPlace erased = unpack(*slot);
  shard.remove(slot);
  return erased;
}

bool DiskIndex::erase_at(std::uint64_t hash, std::uint64_t offset) {
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  Slot* slot = shard.find(hash);
  if (!slot || offset_of(*slot) != offset) return false;
  shard.remove(slot);
  return true;
}

bool DiskIndex::move(std::uint64_t hash, std::uint64_t from_offset, const DiskPlace& to) {
  const Slot fresh = pack(hash, to);
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  Slot* slot = shard.find(hash);
  if (!slot || offset_of(*slot) != from_offset) return false;
  *slot = fresh;
  return true;
}

void DiskIndex::clear() {
  for (Shard& shard : *shards_) {
    const std::lock_guard lock(shard.mutex);
    shard.clear();
  }
}

// Hashes are even: a shard gets its share, and beyond it what chance adds (four standard deviations).
void DiskIndex::reserve(std::size_t objects) {
  const double share = static_cast<double>(objects) / kShards;
  const auto most = static_cast<std::size_t>(share + 4 * std::sqrt(share)) + 1;
  for (Shard& shard : *shards_) {
    const std::lock_guard lock(shard.mutex);
    shard.reserve(most);
  }
}

void DiskIndex::copy_shard(std::size_t index, std::vector<Entry>& out) const {
  const Shard& shard = (*shards_)[index];
  const std::uint64_t shard_bits = static_cast<std::uint64_t>(index) << kShardHashBits;
  const std::lock_guard lock(shard.mutex);
  for (const Bucket& bucket : shard.buckets) {
    for (const Slot& slot : bucket) {
      if (slot.low != 0) out.push_back({shard_bits | slot_hash(slot.low), unpack(slot)});
    }
  }
}

std::size_t DiskIndex::size() const {
  std::size_t total = 0;
  for (const Shard& shard : *shards_) {
    const std::lock_guard lock(shard.mutex);
    total += shard.count;
  }
  return total;
}

std::size_t DiskIndex::footprint() const {
  std::size_t total = sizeof(*this) + sizeof(*shards_);
  for (const Shard& shard : *shards_) {
    const std::lock_guard lock(shard.mutex);
    total += shard.buckets.capacity() * sizeof(Bucket);
  }
  return total;
}

}  // namespace vignette::cache
