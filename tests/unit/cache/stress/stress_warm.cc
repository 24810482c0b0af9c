// While clients look up, insert and erase over two tiers that evict, one thread promotes what is on disk and
// another ranks and writes lists. Every byte is of its key, each promotion is answered once, every list is
// sound and in order. Run it under tsan and asan.
#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <thread>
#include <vector>

#include "../disk_tier_support.h"
#include "cache/warm/hot_list.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr int kClients = 3;
constexpr int kSteps = 1500;
constexpr int kPromotions = 3000;
constexpr int kLists = 150;
constexpr int kNames = 80;

std::string name_of(unsigned number) { return "h/" + std::to_string(number % kNames); }
std::size_t bytes_of(std::string_view name) { return hash_key(name).lo % 30'000; }

struct Seen {
  std::atomic<int> hits{0}, wrong{0}, asked{0}, answered{0}, lists{0}, unsound{0};

  void check(const std::string& name, const Lookup& found) {
    if (!found.object) return;
    ++hits;
    if (body_text(*found.object) != body_for(name, bytes_of(name))) ++wrong;
  }
};

void be_client(TieredStore& store, Seen& seen, unsigned seed) {
  std::mt19937 random(seed);
  HandExecutor executor;
  std::atomic<int> open{0};
  for (int step = 0; step < kSteps; ++step) {
    const std::string name = name_of(static_cast<unsigned>(random()));
    const auto dice = random() % 100;
    if (dice < 30) {
      store.insert(object_for(name, bytes_of(name)));
    } else if (dice < 34) {
      store.erase(hash_key(name), name);
    } else {
      ++open;
      store.lookup(hash_key(name), name, executor, [&seen, &open, name](Lookup found) {
        --open;
        seen.check(name, found);
      });
    }
    executor.run();
  }
  while (open > 0) {
    executor.run();
    std::this_thread::yield();
  }
}

void promote_all(TieredStore& store, Seen& seen) {
  std::mt19937 random(99);
  HandExecutor executor;
  for (int i = 0; i < kPromotions; ++i) {
    const std::string name = name_of(static_cast<unsigned>(random()));
    ++seen.asked;
    store.promote(hash_key(name), name, executor, [&seen, name](Lookup found) {
      ++seen.answered;
      seen.check(name, found);
    });
    while (seen.answered < seen.asked) {
      if (executor.run() == 0) std::this_thread::yield();
    }
  }
}

void rank(const TieredStore& store, Seen& seen) {
  for (int i = 0; i < kLists; ++i) {
    const std::vector<HotEntry> hot = hottest(store, 20);
    const auto is_colder = [](const HotEntry& a, const HotEntry& b) { return a.hits < b.hits; };
    const bool is_ordered = std::ranges::adjacent_find(hot, is_colder) == hot.end();
    const auto read = read_hot_list(write_hot_list(hot));
    if (!is_ordered || hot.size() > 20 || !read || *read != hot) ++seen.unsound;
    ++seen.lists;
  }
}

}  // namespace

TEST_CASE("Promotions and rankings beside clients mix nothing up, and each promotion is answered once") {
  FaultyDisk disk(3);
  SystemClock clock;
  Logger log(LogLevel::off);
  DiskStoreOptions options;
  options.disks = {{"a", 2 << 20}};
  options.segment_bytes = 256 * 1024;
  options.open_directory = [&](const std::string&) { return disk.open_folder(); };
  Seen seen;
  {
    TieredStore store({.budget_bytes = 500'000, .shards = 2}, options, clock, log);
    store.start();
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kClients; ++i) threads.emplace_back([&, i] { be_client(store, seen, i); });
    threads.emplace_back([&] { promote_all(store, seen); });
    threads.emplace_back([&] { rank(store, seen); });
    for (std::thread& thread : threads) thread.join();
    store.stop();
  }
  CHECK(seen.wrong == 0);
  CHECK(seen.unsound == 0);
  CHECK(seen.lists == kLists);
  CHECK(seen.asked == kPromotions);
  CHECK(seen.answered == kPromotions);
  CHECK(seen.hits > 0);
}
