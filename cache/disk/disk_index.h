// Where the needles of one volume lie: 16 bytes a slot, buckets of four, two buckets a key (cuckoo), which
// follow from its hash and a secret, so that nobody can make up keys that crowd the same two.
//
// A slot has 44 bits of the key's hash (8 of them by its shard), so a clash finds another object's needle
// about once in 10^6 lookups of absent keys at 10^7 objects; the key string in the needle decides, and a
// clash is a miss. Two objects whose hashes clash share one slot: the later one stays.
//
// 256 shards, each with a mutex held for one operation and never two at a time, no I/O inside. A shard that
// is full to 87 % grows by a sixteenth, so an object costs 18.4 to 20 bytes whatever their number.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "cache/key.h"

namespace vignette::cache {

// Where a needle lies in its volume. `offset` and `bytes` are multiples of DiskIndex::kUnit.
struct DiskPlace {
  std::uint64_t offset = 0;      // from the start of the volume's file
  std::uint32_t bytes = 0;       // never 0
  std::uint16_t generation = 0;  // the low bits of its segment's
  bool was_hit = false;          // found by find_and_mark() since it was put there
  friend bool operator==(const DiskPlace&, const DiskPlace&) = default;
};

// Thread-safe.
class DiskIndex {
 public:
  static constexpr std::size_t kUnit = 64;                                             // of needles
  static constexpr std::uint64_t kMaxOffset = ((std::uint64_t{1} << 42) - 1) * kUnit;  // 256 TiB
  static constexpr std::uint32_t kMaxBytes = 0xFFFFFFFF / kUnit * kUnit;               // 4 GiB
  static constexpr std::size_t kShards = 256;
  static constexpr unsigned kHashBits = 44;

  // What stands for a key here; the functions below take and give it.
  static std::uint64_t hash_of(const Key& key) { return key.hi >> (64 - kHashBits); }

  struct Entry {
    std::uint64_t hash = 0;
    DiskPlace place;
  };

  explicit DiskIndex(const HashSecret& secret = process_secret());
  ~DiskIndex();
  DiskIndex(const DiskIndex&) = delete;
  DiskIndex& operator=(const DiskIndex&) = delete;

  std::optional<DiskPlace> find(std::uint64_t hash) const;
  std::optional<DiskPlace> find_and_mark(std::uint64_t hash);
  // In place of what was there, which is handed back.
  std::optional<DiskPlace> put(std::uint64_t hash, const DiskPlace& place);
  // Only when there is nothing yet. False: there is, and it stays.
  bool put_if_absent(std::uint64_t hash, const DiskPlace& place);
  std::optional<DiskPlace> erase(std::uint64_t hash);
  // Only what lies at `offset`. False: it is not there (any more), nothing changes.
  bool erase_at(std::uint64_t hash, std::uint64_t offset);
  bool move(std::uint64_t hash, std::uint64_t from_offset, const DiskPlace& to);
  void clear();

  // Makes room for so many at once, as when a snapshot is read.
  void reserve(std::size_t objects);
  // put_if_absent() for each. Those of one shard in a row, as copy_shard() gives them, share its lock.
  void put_absent(std::span<const Entry> entries);
  // Entries of one shard (of kShards), in no order, appended. Together a picture of each shard at its own
  // time.
  void copy_shard(std::size_t shard, std::vector<Entry>& out) const;

  std::size_t size() const;
  std::size_t footprint() const;  // bytes, everything included

 private:
  // hash:36 bytes:28 | offset:42 generation:16 hit:1; all zero when empty (bytes is never 0).
  struct Slot {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
  };
  static constexpr std::size_t kWays = 4;
  using Bucket = std::array<Slot, kWays>;
  static_assert(sizeof(Slot) == 16);

  class Shard {
   public:
    Slot* find(std::uint64_t hash);
    const Slot* find(std::uint64_t hash) const { return const_cast<Shard*>(this)->find(hash); }
    void add(Slot slot);
    void add_absent(const Slot& slot);
    void remove(Slot* slot);
    void clear();
    void reserve(std::size_t objects);

    mutable std::mutex mutex;
    HashSecret secret;
    std::vector<Bucket> buckets;
    std::size_t count = 0;

   private:
    bool is_full() const;
    std::size_t bucket_at(std::uint64_t even) const;
    std::size_t first_bucket(std::uint64_t hash) const;
    std::size_t second_bucket(std::uint64_t hash) const;
    Slot* free_slot(std::size_t bucket);
    bool place(Slot& slot);
    void rebuild(std::size_t bucket_count, Slot extra);
    std::uint64_t dice_ = 0x9E3779B97F4A7C15;
  };

  static std::uint64_t hash_in_shard(std::uint64_t hash);
  static Slot pack(std::uint64_t hash, const DiskPlace& place);
  static DiskPlace unpack(const Slot& slot);
  static std::uint64_t offset_of(const Slot& slot);
  Shard& shard_of(std::uint64_t hash) { return (*shards_)[hash >> (kHashBits - 8)]; }
  const Shard& shard_of(std::uint64_t hash) const { return (*shards_)[hash >> (kHashBits - 8)]; }

  std::unique_ptr<std::array<Shard, kShards>> shards_;
};

}  // namespace vignette::cache
