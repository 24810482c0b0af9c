// The memory tier: S3-FIFO (SOSP'23), byte-accounted, aware of sizes, sharded by key hash.
//
//   insert -> small (10 % of bytes) --asked again--> main (90 %) -> out
//                  \--not asked again--> out, its fingerprint to the ghost queue;
//                     an insert whose fingerprint is there goes straight to main
//
// A hit takes a reference and bumps a 2-bit counter; nothing moves. Both queues let go first of what holds
// many bytes for long (memory_shard.h). What is evicted while somebody still sends it goes on counting until
// the last reference is dropped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "cache/store.h"

namespace vignette::cache {

// How an object that was found until now leaves memory.
enum class Leaving : std::uint8_t { evicted, replaced, purged };

struct MemoryStoreOptions {
  std::uint64_t budget_bytes = std::uint64_t{256} << 20;
  std::uint64_t max_object_bytes = 0;  // 0: an eighth of the budget, at most kMaxObjectBytes
  std::size_t shards = 0;              // 0: by budget; else rounded up to a power of two
  const PurgeBook* purges = nullptr;   // outlives the store; null: nothing is ever purged
  // Told of each, without a lock of the store held. Thread-safe.
  std::function<void(const Object&, Leaving)> on_leave = [](const Object&, Leaving) {};
};

class MemoryStore final : public Store {
 public:
  static constexpr std::uint64_t kMaxObjectBytes = std::uint64_t{128} << 20;
  static constexpr std::uint64_t kLargeObjectBytes = std::uint64_t{1} << 20;  // or 1 % of the budget, if more
  static constexpr std::uint64_t kShardBytes = std::uint64_t{16} << 20;       // a shard has at least these
  static constexpr std::size_t kMaxShards = 64;

  explicit MemoryStore(const MemoryStoreOptions& options);
  ~MemoryStore() override;
  MemoryStore(const MemoryStore&) = delete;
  MemoryStore& operator=(const MemoryStore&) = delete;

  Lookup try_lookup(const Key& key, std::string_view key_string) override;
  ObjectRef peek(const Key& key, std::string_view key_string) const override;
  void lookup(const Key& key, std::string_view key_string, Executor& executor,
              std::move_only_function<void(Lookup)> completion) override;
  Insertion insert(ObjectRef object) override;
  bool replace_head(const Object& old, ObjectRef fresh) override;
  bool erase(const Key& key, std::string_view key_string) override;
  void clear() override;
  Reservation reserve(std::size_t bytes) override;
  std::uint64_t max_object_bytes() const override;
  StoreStats stats() const override;
  const PurgeBook* purges() const override;
  void visit(const std::function<void(const Object&)>& visit) const override;

  // As visit(), with how often each was found since it came.
  using HitsVisitor = std::function<void(const ObjectRef& object, std::uint32_t hits)>;
  void visit_hits(const HitsVisitor& visit) const;

  // For the tier below. `is_first`: nobody had asked for that object before; `asked_again`: somebody has, for
  // what it replaces or for what it was before it was evicted.
  ObjectRef find(const Key& key, std::string_view key_string, bool& is_first);
  Insertion insert(ObjectRef object, bool& asked_again);
  // An object of that hash, whatever its key string.
  bool knows(const Key& key) const;
  // What lies there, purged or not; counts and ranks nothing.
  ObjectRef find_any(const Key& key, std::string_view key_string) const;

 private:
  class Tier;
  std::shared_ptr<Tier> tier_;
};

}  // namespace vignette::cache
