// The order in which one shard lets go, against a model that looks at everything it holds.
#include "cache/memory_shard.h"

#include <bit>
#include <catch2/catch.hpp>
#include <deque>
#include <random>
#include <vector>

#include "cache_support.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr std::uint64_t kShare = 1'000'000;

std::string name_of(int id) { return "h/" + std::to_string(id); }

std::unique_ptr<MemoryShard::Node> node_for(int id, std::uint64_t bytes) {
  auto node = std::make_unique<MemoryShard::Node>();
  node->object = object_for(name_of(id), 0);
  node->bytes = bytes;
  return node;
}

bool insert(MemoryShard& shard, int id, std::uint64_t bytes) {
  auto node = node_for(id, bytes);
  return shard.insert(node);
}

bool find(MemoryShard& shard, int id) {
  return static_cast<bool>(shard.find(hash_key(name_of(id)), name_of(id)));
}

int id_of(const MemoryShard::Node& node) {
  return std::stoi(std::string(node.object->key_string().substr(2)));
}

std::vector<int> evict_all(MemoryShard& shard) {
  std::vector<int> order;
  while (auto node = shard.evict()) order.push_back(id_of(*node));
  return order;
}

// The rule of memory_shard.h, searched for among all entries each time.
class Model {
 public:
  struct Entry {
    int id;
    std::uint64_t bytes;
    std::uint64_t entered;
    std::uint64_t linked;  // place in the FIFO of its class
    int count = 0;
    bool in_main = false;
  };

  Entry* find(int id) {
    for (Entry& entry : entries_) {
      if (entry.id == id) return &entry;
    }
    return nullptr;
  }

  void insert(int id, std::uint64_t bytes) {
    if (Entry* held = find(id)) {
      if (class_of(held->bytes) != class_of(bytes)) held->linked = ++links_;
      held->bytes = bytes;
      return;
    }
    const bool to_main = ghosts_.take(hash_key(name_of(id)).lo, remembered());
    entries_.push_back({.id = id, .bytes = bytes, .entered = 0, .linked = 0});
    enter(entries_.back(), to_main);
  }

  void erase(int id) {
    std::erase_if(entries_, [id](const Entry& entry) { return entry.id == id; });
  }

  // -1: empty. The queue is chosen once, and again only when all of it has moved to main.
  int evict() {
    while (!entries_.empty()) {
      const bool from_main =
          bytes_in(true) > kShare / 100 * MemoryShard::kMainPercent || count_in(false) == 0;
      while (Entry* entry = next_out(from_main)) {
        if (from_main ? entry->count > 0 : entry->count >= MemoryShard::kMoveToMain) {
          entry->count = from_main ? entry->count - 1 : 0;
          enter(*entry, true);
          continue;
        }
        const int id = entry->id;
        if (!from_main) ghosts_.add(hash_key(name_of(id)).lo, remembered());
        erase(id);
        return id;
      }
    }
    return -1;
  }

 private:
  static int class_of(std::uint64_t bytes) { return static_cast<int>(std::bit_width(bytes / 1024)); }
  void enter(Entry& entry, bool in_main) {
    entry.in_main = in_main;
    entry.entered = ++insertions_;
    entry.linked = ++links_;
  }
  std::uint64_t bytes_in(bool main) const {
    std::uint64_t sum = 0;
    for (const Entry& entry : entries_) sum += entry.in_main == main ? entry.bytes : 0;
    return sum;
  }
  std::int64_t count_in(bool main) const {
    return std::ranges::count_if(entries_, [main](const Entry& entry) { return entry.in_main == main; });
  }
  std::size_t remembered() const {
    return std::max(static_cast<std::size_t>(count_in(true)),
                    entries_.size() * MemoryShard::kMainPercent / 100);
  }
  bool is_head(const Entry& entry) const {
    return std::ranges::none_of(entries_, [&entry](const Entry& other) {
      return other.in_main == entry.in_main && class_of(other.bytes) == class_of(entry.bytes) &&
             other.linked < entry.linked;
    });
  }
  Entry* next_out(bool main) {
    Entry* chosen = nullptr;
    auto held = [this](const Entry& entry) { return (insertions_ - entry.entered + 1) * entry.bytes; };
    for (Entry& entry : entries_) {
      if (entry.in_main != main || !is_head(entry)) continue;
      const bool first = chosen && held(entry) == held(*chosen) && entry.bytes < chosen->bytes;
      if (!chosen || held(entry) > held(*chosen) || first) chosen = &entry;
    }
    return chosen;
  }

  std::deque<Entry> entries_;
  GhostQueue ghosts_;  // the real one: its fingerprints may clash
  std::uint64_t insertions_ = 0, links_ = 0;
};

}  // namespace

TEST_CASE("one shard lets go in the order of a model that looks at everything") {
  for (unsigned seed : {1u, 2u, 3u, 4u}) {
    std::mt19937 random(seed);
    auto below = [&random](unsigned limit) { return static_cast<int>(random() % limit); };
    MemoryShard shard(kShare, kShare);
    Model model;
    for (int step = 0; step < 4000; ++step) {
      const int id = below(60);
      if (below(3) > 0) {
        Model::Entry* held = model.find(id);
        REQUIRE(find(shard, id) == (held != nullptr));
        if (held) held->count = std::min(held->count + 1, int{MemoryShard::kMaxCount});
      } else if (below(20) == 0) {
        model.erase(id);
        shard.erase(hash_key(name_of(id)), name_of(id));
      } else {
        const auto bytes = static_cast<std::uint64_t>(1 + below(900)) << below(8);
        while (shard.bytes() + bytes > kShare) REQUIRE(id_of(*shard.evict()) == model.evict());
        model.insert(id, bytes);
        insert(shard, id, bytes);
      }
    }
    for (int id : evict_all(shard)) REQUIRE(id == model.evict());
    REQUIRE(model.evict() == -1);
    REQUIRE(shard.bytes() == 0);
  }
}

TEST_CASE("objects of one size leave in the order they came") {
  MemoryShard shard(kShare, kShare);
  for (int id = 0; id < 5; ++id) insert(shard, id, 5000);
  CHECK(evict_all(shard) == std::vector<int>{0, 1, 2, 3, 4});
}

TEST_CASE("many small objects outlast a large one that came after them") {
  MemoryShard shard(kShare, kShare);
  for (int id = 0; id < 20; ++id) insert(shard, id, 2000);
  insert(shard, 99, 90'000);
  CHECK(id_of(*shard.evict()) == 99);
}

TEST_CASE("a small object that nobody asks for does not stay for ever") {
  MemoryShard shard(kShare, kShare);
  insert(shard, 0, 500);
  for (int id = 1; id < 1500; ++id) {
    insert(shard, id, 50'000);
    if (shard.bytes() > kShare / 2) shard.evict();
  }
  CHECK_FALSE(find(shard, 0));
}

TEST_CASE("one hit in the small queue is enough for main") {
  MemoryShard shard(kShare, kShare);
  insert(shard, 0, 5000);
  insert(shard, 1, 5000);
  REQUIRE(find(shard, 0));
  CHECK(evict_all(shard) == std::vector<int>{1, 0});
}

TEST_CASE("an object replaced by one of another size is counted and let go with its new size") {
  MemoryShard shard(kShare, kShare);
  for (int id = 0; id < 3; ++id) insert(shard, id, 3000);
  CHECK(insert(shard, 1, 100'000));
  CHECK(shard.bytes() == 106'000);
  CHECK(id_of(*shard.evict()) == 1);
  CHECK(shard.bytes() == 6000);
}

TEST_CASE("a ghost is remembered for as many evictions as the queue holds, and only once") {
  GhostQueue ghosts;
  constexpr std::size_t kCapacity = 1000;
  for (std::uint64_t i = 0; i < 2 * kCapacity; ++i) ghosts.add(i * 0x9e3779b97f4a7c15u, kCapacity);
  int known = 0, forgotten = 0;
  for (std::uint64_t i = 0; i < kCapacity; ++i) {
    forgotten += !ghosts.take(i * 0x9e3779b97f4a7c15u, kCapacity);
    known += ghosts.take((kCapacity + i) * 0x9e3779b97f4a7c15u, kCapacity);
  }
  CHECK(forgotten == kCapacity);
  CHECK(known > 950);  // a full bucket forgets its oldest early
  CHECK_FALSE(ghosts.take((kCapacity + 1) * 0x9e3779b97f4a7c15u, kCapacity));
  CHECK(ghosts.footprint() <= kCapacity * 24 + 256);
}
