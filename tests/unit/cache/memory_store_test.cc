#include "cache/memory_store.h"

#include <catch2/catch.hpp>
#include <vector>

#include "cache_support.h"
#include "store_conformance.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr std::uint64_t kMiB = 1 << 20;

std::unique_ptr<Store> roomy_store() {
  return std::make_unique<MemoryStore>(MemoryStoreOptions{.budget_bytes = 128 * kMiB});
}

void fill_with(Store& store, std::string_view prefix, int count, std::size_t size) {
  for (int i = 0; i < count; ++i) store.insert(object_for(std::string(prefix) + std::to_string(i), size));
}

bool has(Store& store, std::string_view name) { return static_cast<bool>(store.peek(hash_key(name), name)); }

}  // namespace

TEST_CASE("the memory tier behaves like a map while it has room") {
  for (unsigned seed : {1u, 2u, 3u}) conforms_to_a_map(roomy_store, seed, 3000);
}

TEST_CASE("the memory tier never confuses keys, and what it gave stays whole") {
  keeps_its_edges(roomy_store);
}

TEST_CASE("the memory tier stays within its budget, counted as the allocator counts") {
  MemoryStore store({.budget_bytes = 8 * kMiB, .shards = 4});
  for (int i = 0; i < 3000; ++i) {
    store.insert(object_for("h/" + std::to_string(i), static_cast<std::size_t>(i % 50) * 900));
    const StoreStats stats = store.stats();
    REQUIRE(stats.used_bytes <= stats.budget_bytes + 64 * 1024);  // index growth is charged, not asked for
    REQUIRE(stats.bytes <= stats.used_bytes);
  }
  const StoreStats stats = store.stats();
  CHECK(stats.insertions == 3000);
  CHECK(stats.objects + stats.evictions_small + stats.evictions_main == 3000);
  CHECK(stats.used_bytes > 7 * kMiB);
  store.clear();
  CHECK(store.stats().objects == 0);
  CHECK(store.stats().used_bytes == store.stats().bytes);  // what is left is the index
}

TEST_CASE("what is evicted while somebody sends it goes on counting until it is released") {
  MemoryStore store({.budget_bytes = 4 * kMiB, .shards = 1});
  fill_with(store, "h/", 1, 400'000);
  ObjectRef held = store.peek(hash_key("h/0"), "h/0");
  fill_with(store, "other/", 40, 200'000);
  CHECK_FALSE(has(store, "h/0"));
  const StoreStats pinned = store.stats();
  CHECK(pinned.used_bytes - pinned.bytes >= 400'000);
  CHECK(body_text(*held) == body_for("h/0", 400'000));
  held = nullptr;
  CHECK(store.stats().used_bytes == store.stats().bytes);
}

TEST_CASE("pinned objects that fill the tier refuse new ones instead of passing the budget") {
  MemoryStore store({.budget_bytes = 4 * kMiB, .shards = 1});
  std::vector<ObjectRef> held;
  for (int i = 0; i < 100; ++i) {
    const std::string name = "h/" + std::to_string(i);
    store.insert(object_for(name, 100'000));
    if (ObjectRef object = store.peek(hash_key(name), name)) held.push_back(object);
  }
  CHECK(store.stats().used_bytes <= 4 * kMiB + 64 * 1024);
  CHECK(store.stats().refused_no_room > 0);
  CHECK(store.insert(object_for("late", 300'000)) == Insertion::no_room);
  held.clear();
  CHECK(store.insert(object_for("late", 300'000)) == Insertion::inserted);
}

TEST_CASE("reservations count from the moment they are made, and go back when dropped") {
  MemoryStore store({.budget_bytes = 4 * kMiB, .shards = 1});
  fill_with(store, "h/", 30, 100'000);
  const std::uint64_t objects = store.stats().objects;
  {
    const Reservation reservation = store.reserve(2 * kMiB);
    REQUIRE(reservation);
    CHECK(store.stats().objects < objects);
    CHECK(store.stats().used_bytes >= 2 * kMiB);
    CHECK_FALSE(store.reserve(5 * kMiB));
  }
  CHECK(store.stats().used_bytes == store.stats().bytes);
}

TEST_CASE("an object may be as long as the limit and not a byte longer") {
  MemoryStore store({.budget_bytes = 64 * kMiB, .max_object_bytes = 100'000});
  CHECK(store.insert(object_for("h/a", 100'000)) == Insertion::inserted);
  CHECK(store.insert(object_for("h/b", 100'001)) == Insertion::too_large);
  CHECK(store.stats().refused_too_large == 1);
  CHECK(MemoryStore({.budget_bytes = 64 * kMiB}).max_object_bytes() == 8 * kMiB);
}

TEST_CASE("what is asked for twice in the small queue survives a scan, what is not does not") {
  MemoryStore store({.budget_bytes = 4 * kMiB, .shards = 1});
  fill_with(store, "hot/", 10, 20'000);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 10; ++i) {
      const std::string name = "hot/" + std::to_string(i);
      REQUIRE(store.try_lookup(hash_key(name), name).object);
    }
  }
  fill_with(store, "cold/", 10, 20'000);
  fill_with(store, "scan/", 400, 20'000);
  for (int i = 0; i < 10; ++i) {
    CHECK(has(store, "hot/" + std::to_string(i)));
    CHECK_FALSE(has(store, "cold/" + std::to_string(i)));
  }
}

TEST_CASE("a ghost comes back straight to main") {
  MemoryStore store({.budget_bytes = 4 * kMiB, .shards = 1});
  fill_with(store, "h/", 250, 20'000);
  REQUIRE_FALSE(has(store, "h/10"));
  store.insert(object_for("h/10", 20'000));
  CHECK(store.stats().ghost_hits == 1);
  fill_with(store, "scan/", 250, 20'000);
  CHECK(has(store, "h/10"));
}

TEST_CASE("a large object streams through the small queue and main stays") {
  MemoryStore store({.budget_bytes = 32 * kMiB, .shards = 1});
  fill_with(store, "hot/", 200, 50'000);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 200; ++i) {
      const std::string name = "hot/" + std::to_string(i);
      store.try_lookup(hash_key(name), name);
    }
  }
  fill_with(store, "large/", 60, 2'000'000);
  int kept = 0;
  for (int i = 0; i < 200; ++i) kept += has(store, "hot/" + std::to_string(i));
  CHECK(kept == 200);
  CHECK(store.stats().evictions_large > 40);
  CHECK(store.stats().evictions_main == 0);
}

TEST_CASE("objects may outlive their store") {
  ObjectRef held;
  {
    MemoryStore store({.budget_bytes = 4 * kMiB});
    store.insert(object_for("h/a", 1000));
    held = store.peek(hash_key("h/a"), "h/a");
  }
  CHECK(body_text(*held) == body_for("h/a", 1000));
}
