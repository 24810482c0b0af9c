#include "cache/memory_store.h"

#include <malloc.h>

#include <algorithm>
#include <bit>
#include <mutex>
#include <vector>

#include "base/check.h"
#include "cache/memory_shard.h"
#include "cache/purge/purge_book.h"

namespace vignette::cache {
namespace {

// One request for room evicts at most this many bytes more than twice what it needs: when what is evicted
// stays pinned by readers, emptying the tier would not help.
constexpr std::size_t kEvictionSlack = 1024 * 1024;

std::size_t shard_count(const MemoryStoreOptions& options) {
  const std::uint64_t by_budget = options.budget_bytes / MemoryStore::kShardBytes;
  const std::uint64_t wanted = options.shards ? std::bit_ceil(options.shards) : std::bit_floor(by_budget);
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(wanted, 1, MemoryStore::kMaxShards));
}

using Node = MemoryShard::Node;

}  // namespace

// Outlives the store for as long as reservations exist. Shard mutexes are never held two at a time, and
// nothing is destroyed under one.
class MemoryStore::Tier final : public Budget, public std::enable_shared_from_this<Tier> {
 public:
  explicit Tier(const MemoryStoreOptions& options);

  bool acquire(std::size_t bytes) override;
  void charge(std::size_t bytes) override { used_.fetch_add(bytes, std::memory_order_relaxed); }
  void release(std::size_t bytes) override { used_.fetch_sub(bytes, std::memory_order_relaxed); }

  ObjectRef find(const Key& key, std::string_view key_string, bool& is_first);
  bool knows(const Key& key);
  ObjectRef peek(const Key& key, std::string_view key_string);
  ObjectRef find_any(const Key& key, std::string_view key_string);
  Insertion insert(ObjectRef object, bool& asked_again);
  bool replace(const Object& old, ObjectRef fresh);
  bool erase(const Key& key, std::string_view key_string);
  void clear();
  StoreStats stats();
  std::uint64_t max_object_bytes() const { return max_object_bytes_; }
  const PurgeBook* purges() const { return purges_; }
  void visit_hits(const HitsVisitor& visit);

 private:
  struct alignas(64) Slot {
    Slot(std::uint64_t share_bytes, std::uint64_t large_bytes) : shard(share_bytes, large_bytes) {}
    std::mutex mutex;
    MemoryShard shard;
    std::size_t charged_index = 0;
    std::atomic<std::uint64_t> bytes{0};  // as of the last change, to find the fullest
  };

  Slot& slot_of(const Key& key) { return *slots_[(key.hi >> 40) & (slots_.size() - 1)]; }
  void settle(Slot& slot);
  void drop_purged(Slot& slot, const Object& object);
  std::size_t evict_one();
  std::unique_ptr<Node> make_node(ObjectRef object, bool must);

  const std::uint64_t budget_;
  const std::uint64_t max_object_bytes_;
  const PurgeBook* const purges_;
  const std::function<void(const Object&, Leaving)> on_leave_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::atomic<std::uint64_t> used_{0};
  std::atomic<std::uint64_t> refused_too_large_{0}, refused_no_room_{0};
};

MemoryStore::Tier::Tier(const MemoryStoreOptions& options)
    : budget_(options.budget_bytes),
      max_object_bytes_(options.max_object_bytes ? std::min(options.max_object_bytes, kMaxObjectBytes)
                                                 : std::min(options.budget_bytes / 8, kMaxObjectBytes)),
      purges_(options.purges),
      on_leave_(options.on_leave) {
  const std::size_t count = shard_count(options);
  const std::uint64_t large = std::max(kLargeObjectBytes, budget_ / 100);
  for (std::size_t i = 0; i < count; ++i) slots_.push_back(std::make_unique<Slot>(budget_ / count, large));
}

bool MemoryStore::Tier::acquire(std::size_t bytes) {
  const std::uint64_t limit = std::uint64_t{2} * bytes + kEvictionSlack;
  std::uint64_t evicted = 0;
  std::uint64_t used = used_.load(std::memory_order_relaxed);
  while (true) {
    if (used + bytes <= budget_) {
      if (used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed)) return true;
      continue;
    }
    const std::size_t step = bytes <= budget_ && evicted <= limit ? evict_one() : 0;
    if (step == 0) break;
    evicted += step;
    used = used_.load(std::memory_order_relaxed);
  }
  refused_no_room_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

// With the slot locked, after a change.
void MemoryStore::Tier::settle(Slot& slot) {
  slot.bytes.store(slot.shard.bytes(), std::memory_order_relaxed);
  const std::size_t index = slot.shard.index_footprint();
  if (index > slot.charged_index) charge(index - slot.charged_index);
  slot.charged_index = std::max(index, slot.charged_index);
}

// The fullest shard gives: keys are spread evenly, so that is the one beyond its share.
std::size_t MemoryStore::Tier::evict_one() {
  auto fuller = [](const auto& a, const auto& b) { return a->bytes.load() < b->bytes.load(); };
  Slot& slot = **std::ranges::max_element(slots_, fuller);
  std::unique_ptr<Node> victim;
  {
    const std::lock_guard lock(slot.mutex);
    victim = slot.shard.evict();
    settle(slot);
  }
  if (!victim) return 0;
  on_leave_(*victim->object, Leaving::evicted);
  return static_cast<std::size_t>(victim->bytes);
}

// Null: no room. `must`: counted whether there is room or not.
std::unique_ptr<Node> MemoryStore::Tier::make_node(ObjectRef object, bool must) {
  auto node = std::make_unique<Node>();
  const std::size_t node_bytes = malloc_usable_size(node.get());
  const std::size_t object_bytes = object->footprint();
  const std::size_t reserved = std::min(object->reserved_in(this), object_bytes);
  Reservation missing(shared_from_this(), 0);
  const std::size_t wanted = node_bytes + object_bytes - reserved;
  if (must) {
    missing.set_to(wanted);
  } else if (!missing.grow_to(wanted)) {
    return nullptr;
  }
  // An object that nobody counts yet carries its own bytes from now on, so that they last as long as it does.
  if (reserved == 0) {
    Reservation own = missing.split(object_bytes);
    // NOLINTNEXTLINE(bugprone-use-after-move): adopt() takes it only when it returns true
    if (!object->adopt(std::move(own))) missing.absorb(std::move(own));
  }
  node->overhead = std::move(missing);
  node->bytes = node_bytes + object_bytes;
  node->object = std::move(object);
  return node;
}

bool MemoryStore::Tier::knows(const Key& key) {
  Slot& slot = slot_of(key);
  const std::lock_guard lock(slot.mutex);
  return slot.shard.knows(key);
}

ObjectRef MemoryStore::Tier::find(const Key& key, std::string_view key_string, bool& is_first) {
  Slot& slot = slot_of(key);
  ObjectRef found;
  {
    const std::lock_guard lock(slot.mutex);
    found = slot.shard.find(key, key_string, &is_first);
  }
  if (!found || judge(purges_, *found) != Verdict::dead) return found;
  drop_purged(slot, *found);
  return nullptr;
}

// It was counted as a hit.
void MemoryStore::Tier::drop_purged(Slot& slot, const Object& object) {
  std::unique_ptr<Node> dropped;
  {
    const std::lock_guard lock(slot.mutex);
    dropped = slot.shard.drop_purged(object);
    settle(slot);
  }
  if (dropped) on_leave_(object, Leaving::purged);
}

void MemoryStore::Tier::visit_hits(const HitsVisitor& visit) {
  std::vector<MemoryShard::Resident> residents;
  for (auto& slot : slots_) {
    {
      const std::lock_guard lock(slot->mutex);
      slot->shard.append_to(residents);
    }
    for (const auto& [object, hits] : residents) visit(object, hits);
    residents.clear();
  }
}

ObjectRef MemoryStore::Tier::find_any(const Key& key, std::string_view key_string) {
  Slot& slot = slot_of(key);
  const std::lock_guard lock(slot.mutex);
  return slot.shard.peek(key, key_string);
}

ObjectRef MemoryStore::Tier::peek(const Key& key, std::string_view key_string) {
  ObjectRef found = find_any(key, key_string);
  if (found && judge(purges_, *found) == Verdict::dead) return nullptr;
  return found;
}

Insertion MemoryStore::Tier::insert(ObjectRef object, bool& asked_again) {
  VCHECK(object->body().state() == Body::State::complete);
  if (object->body().length() > max_object_bytes_) {
    refused_too_large_.fetch_add(1, std::memory_order_relaxed);
    return Insertion::too_large;
  }
  Slot& slot = slot_of(object->key());
  std::unique_ptr<Node> node = make_node(std::move(object), false);
  if (!node) return Insertion::no_room;
  {
    const std::lock_guard lock(slot.mutex);
    const bool replaced = slot.shard.insert(node, &asked_again);
    settle(slot);
    if (!replaced) return Insertion::inserted;
  }
  on_leave_(*node->object, Leaving::replaced);
  return Insertion::replaced;
}

bool MemoryStore::Tier::replace(const Object& old, ObjectRef fresh) {
  VCHECK(fresh->is_for(old.key(), old.key_string()));
  Slot& slot = slot_of(old.key());
  std::unique_ptr<Node> node = make_node(std::move(fresh), true);
  {
    const std::lock_guard lock(slot.mutex);
    const bool replaced = slot.shard.replace(old, node);
    settle(slot);
    if (!replaced) return false;
  }
  on_leave_(old, Leaving::replaced);
  return true;
}

bool MemoryStore::Tier::erase(const Key& key, std::string_view key_string) {
  Slot& slot = slot_of(key);
  std::unique_ptr<Node> erased;
  const std::lock_guard lock(slot.mutex);
  erased = slot.shard.erase(key, key_string);
  settle(slot);
  return erased != nullptr;
}

void MemoryStore::Tier::clear() {
  for (auto& slot : slots_) {
    while (true) {
      std::unique_ptr<Node> node;
      const std::lock_guard lock(slot->mutex);
      node = slot->shard.take_any();
      settle(*slot);
      if (!node) break;
    }
  }
}

StoreStats MemoryStore::Tier::stats() {
  StoreStats stats;
  for (auto& slot : slots_) {
    const std::lock_guard lock(slot->mutex);
    slot->shard.add_to(stats);
  }
  stats.used_bytes = used_.load(std::memory_order_relaxed);
  stats.budget_bytes = budget_;
  stats.refused_too_large = refused_too_large_;
  stats.refused_no_room = refused_no_room_;
  return stats;
}

MemoryStore::MemoryStore(const MemoryStoreOptions& options) : tier_(std::make_shared<Tier>(options)) {}

// Objects hold reservations, and those the tier: let them go, or it would live for ever.
MemoryStore::~MemoryStore() { tier_->clear(); }

ObjectRef MemoryStore::find(const Key& key, std::string_view key_string, bool& is_first) {
  return tier_->find(key, key_string, is_first);
}
bool MemoryStore::knows(const Key& key) const { return tier_->knows(key); }
ObjectRef MemoryStore::find_any(const Key& key, std::string_view key_string) const {
  return tier_->find_any(key, key_string);
}

Lookup MemoryStore::try_lookup(const Key& key, std::string_view key_string) {
  bool is_first = false;
  ObjectRef object = find(key, key_string, is_first);
  return {object ? Lookup::Outcome::hit : Lookup::Outcome::miss, std::move(object)};
}

ObjectRef MemoryStore::peek(const Key& key, std::string_view key_string) const {
  return tier_->peek(key, key_string);
}

void MemoryStore::lookup(const Key& key, std::string_view key_string, Executor& executor,
                         std::move_only_function<void(Lookup)> completion) {
  executor.post([answer = try_lookup(key, key_string), completion = std::move(completion)]() mutable {
    completion(std::move(answer));
  });
}

Insertion MemoryStore::insert(ObjectRef object, bool& asked_again) {
  return tier_->insert(std::move(object), asked_again);
}
Insertion MemoryStore::insert(ObjectRef object) {
  bool asked_again = false;
  return insert(std::move(object), asked_again);
}
bool MemoryStore::replace_head(const Object& old, ObjectRef fresh) {
  return tier_->replace(old, std::move(fresh));
}
bool MemoryStore::erase(const Key& key, std::string_view key_string) { return tier_->erase(key, key_string); }
void MemoryStore::clear() { tier_->clear(); }

Reservation MemoryStore::reserve(std::size_t bytes) {
  Reservation reservation(tier_, 0);
  return reservation.grow_to(bytes) ? std::move(reservation) : Reservation();
}

std::uint64_t MemoryStore::max_object_bytes() const { return tier_->max_object_bytes(); }
StoreStats MemoryStore::stats() const { return tier_->stats(); }
const PurgeBook* MemoryStore::purges() const { return tier_->purges(); }
void MemoryStore::visit(const std::function<void(const Object&)>& visit) const {
  tier_->visit_hits([&visit](const ObjectRef& object, std::uint32_t) { visit(*object); });
}
void MemoryStore::visit_hits(const HitsVisitor& visit) const { tier_->visit_hits(visit); }

}  // namespace vignette::cache
