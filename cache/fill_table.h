// The fills in flight: one per key on the whole node. Sharded by key hash, short mutexes, thread-safe.
//
// A key whose response turned out not to be for others is remembered for kPassMemory: requests for it do not
// queue behind each other's heads but get fills of their own, until one of those brings what is.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/fill.h"
#include "cache/variant_book.h"

namespace vignette::cache {

inline constexpr std::chrono::seconds kPassMemory{120};
// The same where the store was full: the response is not to blame.
inline constexpr std::chrono::seconds kNoRoomPassMemory{1};
// Remembered keys a shard; more overwrite each other.
inline constexpr std::size_t kPassSlots = 256;

// What a request that missed has to do. Exactly one of: a hit after all; a place in a fill, with the writer
// when it is for this request to run the attempt.
struct Joined {
  ObjectRef hit;
  FillRef fill;
  Reader reader;      // drop it when the fill runs in the background
  FillWriter writer;  // set: started here
  bool started() const { return static_cast<bool>(writer); }
  bool collapsed() const { return fill && !writer; }
};

// Whether a fill of a key that is remembered as not storable may be joined all the same.
enum class Sharing : std::uint8_t {
  unless_passing,
  always,  // a fetch behind a stale answer: nobody waits for it, and one is enough
};

struct FillStats {
  std::uint64_t started = 0;  // first attempts
  std::uint64_t seconds = 0;  // second attempts
  std::uint64_t joined = 0;
  std::uint64_t passed = 0;            // fills of their own for keys remembered as not storable
  std::uint64_t variants_dropped = 0;  // of URLs that had more than kMaxVariants
  std::uint64_t tags_cut = 0;          // stored with more purge tags than are kept (kManyTags)
  std::uint64_t open = 0;              // slots now
};

class FillTable {
 public:
  // The store must outlive the table, the table its fills' writers.
  FillTable(Store& store, const Clock& clock) : store_(store), clock_(clock) {}
  FillTable(const FillTable&) = delete;
  FillTable& operator=(const FillTable&) = delete;

  // `known`: the stale object that the caller wants to replace, null when it missed. What a fill committed
  // between the caller's lookup and this call is found here (`hit`), so no response is fetched twice.
  Joined join_or_start(const Key& key, std::string_view key_string, TimePoint now,
                       const Object* known = nullptr, Sharing sharing = Sharing::unless_passing);

  // A fill of the caller's own, which nobody can join.
  Joined start_alone(const Key& key, std::string_view key_string, TimePoint now);

  // For reports. The fill of this key that is under way and that others may join; null: none. For how long
  // requests for it do not queue behind each other; zero: they do.
  FillRef find(const Key& key, std::string_view key_string) const;
  Duration passes_for(const Key& key, TimePoint now) const;
  // Of the variants of a URL that were stored since the start, what selects each.
  std::vector<std::string> variants(std::string_view primary) const { return variants_.values_of(primary); }
  // Whether a fill of this key is under way that others may join.
  bool has_open(const Key& key, std::string_view key_string) const;

  FillStats stats() const;

 private:
  friend class Fill;
  static constexpr std::size_t kShards = 64;
  struct Pass {
    Key key;
    TimePoint until{};
  };
  struct Slot {
    FillRef fill;
    std::string key_string;
  };
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    std::unordered_map<Key, Slot, KeyHash> slots;
    std::array<Pass, kPassSlots> passes;
  };

  Shard& shard_of(const Key& key) { return shards_[(key.hi >> 32) % kShards]; }
  const Shard& shard_of(const Key& key) const { return shards_[(key.hi >> 32) % kShards]; }
  static Pass& pass_of(Shard& shard, const Key& key) { return shard.passes[key.hi % kPassSlots]; }
  bool join(Fill& fill, TimePoint now, Joined& joined);
  Joined start(Shard& shard, const Key& key, std::string_view key_string, TimePoint now, Sharing sharing);

  // From fills, without their mutex.
  void remove(const Fill& fill, const Key& slot_key);
  void remember_pass(const Key& key, Reason reason);
  void forget_pass(const Key& key);
  void note_stored(const Object& object);
  bool add(const FillRef& fill, const Key& key, std::string_view key_string);  // false: taken

  Store& store_;
  const Clock& clock_;
  VariantBook variants_{store_};
  std::array<Shard, kShards> shards_;
  std::atomic<std::uint64_t> started_{0}, seconds_{0}, joined_{0}, passed_{0}, tags_cut_{0};
};

}  // namespace vignette::cache
