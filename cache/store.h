// A tier that keeps complete objects. The memory tier answers at once; a tier on disk may have to wait.
// Both pass the harness of tests/unit/cache/store_conformance.h. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/error.h"
#include "base/executor.h"
#include "cache/object.h"
#include "cache/reservation.h"
#include "cache/residence.h"

namespace vignette::cache {

struct Lookup {
  enum class Outcome : std::uint8_t { miss, hit, must_wait };
  Outcome outcome = Outcome::miss;
  ObjectRef object;        // set exactly for a hit; fresh or stale is for the caller to decide (freshness.h)
  bool from_disk = false;  // a hit that was read from there
};

class MissBook;
class PurgeBook;

// What was overwritten on disks.
struct Erased {
  std::uint64_t objects = 0;  // that could have been found there until then; Vary markers do not count
  std::uint64_t copies = 0;   // those, older ones and damaged ones
  std::uint64_t bytes = 0;    // written over them, and over what was left of earlier uses of their segments
};

enum class Insertion : std::uint8_t { inserted, replaced, too_large, no_room };

struct StoreStats {
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;       // resident objects with their index, as the allocator accounts them
  std::uint64_t used_bytes = 0;  // that, open fills, and what is evicted but still referenced
  std::uint64_t budget_bytes = 0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t insertions = 0;
  std::uint64_t replacements = 0;
  std::uint64_t erasures = 0;
  std::uint64_t evictions_small = 0;  // never asked for again while in the small queue
  std::uint64_t evictions_main = 0;
  std::uint64_t evictions_large = 0;  // large objects that streamed through
  std::uint64_t ghost_hits = 0;       // insertions that went straight to main
  std::uint64_t refused_too_large = 0;
  std::uint64_t refused_no_room = 0;
  std::uint64_t purged = 0;  // found dead, and dropped
};

class Store {
 public:
  virtual ~Store() = default;

  // Never waits, does no I/O. must_wait: only lookup() can tell.
  virtual Lookup try_lookup(const Key& key, std::string_view key_string) = 0;
  // The same without counting or ranking; null for a miss and for what would have to wait.
  virtual ObjectRef peek(const Key& key, std::string_view key_string) const = 0;
  // Whether a lookup would in all likelihood hit, in whatever tier, waiting or not; false: it would miss.
  // Counts and ranks nothing.
  virtual bool may_have(const Key& key, std::string_view key_string) const {
    return peek(key, key_string) != nullptr;
  }
  // Posts the answer (hit or miss) to `executor`, exactly once, unless that has stopped. `key_string` is
  // copied where needed.
  virtual void lookup(const Key& key, std::string_view key_string, Executor& executor,
                      std::move_only_function<void(Lookup)> completion) = 0;

  // Takes a complete object, in place of any other of the same key string. It counts by its footprint, less
  // what it brings along as a reservation of this store. May evict.
  virtual Insertion insert(ObjectRef object) = 0;
  // Puts `fresh` in place of `old`, keeping its rank. False when `old` is no longer what the key stands for:
  // nothing changes then.
  virtual bool replace_head(const Object& old, ObjectRef fresh) = 0;
  // False: there was none.
  virtual bool erase(const Key& key, std::string_view key_string) = 0;
  virtual void clear() = 0;

  // Bytes for what is about to be read from an origin; may evict. Empty (false): there is no room.
  virtual Reservation reserve(std::size_t bytes) = 0;
  // A body longer than this is never stored.
  virtual std::uint64_t max_object_bytes() const = 0;

  virtual StoreStats stats() const = 0;

  // What judges objects: dead ones are misses here, and fills take their sequence from it. Null: nothing is
  // ever purged.
  virtual const PurgeBook* purges() const { return nullptr; }
  // What remembers why objects are not there; null: nothing does.
  virtual MissBook* misses() const { return nullptr; }
  // For reports: count and rank nothing, and tell of purged objects, too. inspect() is what lies there, in
  // whatever tier; it may read a disk, so never on a loop. Null: nothing, or nothing readable.
  virtual Residence residence(const Key& key, std::string_view key_string) const {
    return {.in_memory = peek(key, key_string), .disk = {}};
  }
  virtual ObjectRef inspect(const Key& key, std::string_view key_string) const {
    return residence(key, key_string).in_memory;
  }
  // Calls for every object that lies in memory, dead ones too, with no lock held. To count, not to serve.
  virtual void visit(const std::function<void(const Object&)>& visit) const { static_cast<void>(visit); }
  // Overwrites what PurgeBook::must_erase() names at this moment wherever it outlives the process, durably.
  // Calls `done` once, here or on another thread, when no such byte is left there. Errors: unavailable (a
  // disk is away), io: some may be left. Minutes on large disks.
  virtual void overwrite_erased(std::move_only_function<void(Result<Erased>)> done) { done(Erased()); }
};

}  // namespace vignette::cache
