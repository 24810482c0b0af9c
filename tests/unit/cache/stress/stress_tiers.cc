// Many threads look up, insert, freshen, erase, purge and clear a few keys while memory evicts, two volumes
// are written, reclaimed, overwritten and reread, and one of them fails now and then. Every byte that anybody
// gets must be of that key, and every lookup and order is answered once. Then the index alone. Run it under
// tsan and asan.
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <thread>

#include "../disk_tier_support.h"
#include "cache/purge/erase.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr int kThreads = 5;
constexpr int kSteps = 600;
constexpr int kKeys = 60;

struct Totals {
  std::atomic<int> asked{0}, answered{0}, hits{0}, from_disk{0}, wrong{0}, purged{0}, erased{0};
};

std::size_t size_of(std::string_view name) { return hash_key(name).lo % 40'000; }

class Client {
 public:
  Client(TieredStore& store, PurgeBook& book, FaultyDisk& disk, Totals& totals, unsigned seed)
      : store_(store), book_(book), disk_(disk), totals_(totals), random_(seed) {}

  void run() {
    for (int step = 0; step < kSteps; ++step) {
      const std::string name = "h/" + std::to_string(random_() % kKeys);
      const unsigned dice = random_() % 1000;
      if (dice < 300) {
        store_.insert(
            Object::complete(head_of(book_.sequence()), hash_key(name), name, body_for(name, size_of(name))));
      } else if (dice < 340) {
        store_.erase(hash_key(name), name);
      } else if (dice == 340) {
        store_.clear();
      } else if (dice < 345) {
        disk_.fail(FaultyDisk::Op::read, EIO, random_() % 4 == 0 ? 1000 : 0);
      } else if (dice < 350) {
        disk_.set_resident(random_() % 2 == 0);
      } else if (dice < 360) {
        static_cast<void>(store_.disk_stats());
      } else if (dice < 366) {
        purge(name);
      } else {
        look_up(name);
      }
      executor_.run();
    }
    while (open_ > 0) {
      executor_.run();
      std::this_thread::yield();
    }
  }

 private:
  static ObjectHead head_of(std::uint64_t sequence) {
    ObjectHead head = fresh_head();
    head.sequence = sequence;
    return head;
  }

  void purge(const std::string& name) {
    const PurgeTarget target{.kind = PurgeKind::url, .name = name, .origin = {}};
    if (!book_.purge(target, random_() % 4 == 0 ? PurgeMode::hard : PurgeMode::erase)) ++totals_.wrong;
    ++totals_.purged;
    erase_owed(book_, store_, [&totals = totals_](const Result<Erased>&) { ++totals.erased; });
  }

  void look_up(const std::string& name) {
    Lookup now = store_.try_lookup(hash_key(name), name);
    if (now.outcome != Lookup::Outcome::must_wait) return check(name, now);
    ++totals_.asked;
    ++open_;
    store_.lookup(hash_key(name), name, executor_, [this, name](Lookup found) {
      --open_;
      ++totals_.answered;
      check(name, found);
    });
  }

  void check(const std::string& name, const Lookup& found) {
    if (!found.object) return;
    ++totals_.hits;
    if (found.from_disk) ++totals_.from_disk;
    if (body_text(*found.object) != body_for(name, size_of(name))) ++totals_.wrong;
    if (random_() % 8 == 0)
      store_.replace_head(*found.object, found.object->freshened(head_of(found.object->sequence())));
  }

  TieredStore& store_;
  PurgeBook& book_;
  FaultyDisk& disk_;
  Totals& totals_;
  std::mt19937 random_;
  HandExecutor executor_;
  int open_ = 0;
};

}  // namespace

TEST_CASE("Many threads over two tiers never see a byte of another key, and each lookup is answered once") {
  FaultyDisk a(1), b(2);
  SystemClock clock;
  Logger log(LogLevel::off);
  DiskStoreOptions disk;
  disk.disks = {{"a", 1 << 20}, {"b", 2 << 20}};
  disk.segment_bytes = 256 * 1024;
  disk.open_directory = [&](const std::string& path) { return (path == "a" ? a : b).open_folder(); };
  Totals totals;
  {
    PurgeBook book(clock);
    TieredStore store({.budget_bytes = 700'000, .shards = 2, .purges = &book}, disk, clock, log);
    store.start();
    std::vector<std::unique_ptr<Client>> clients;
    for (unsigned i = 0; i < kThreads; ++i) {
      clients.push_back(std::make_unique<Client>(store, book, i % 2 == 0 ? a : b, totals, i));
    }
    std::vector<std::thread> threads;
    for (auto& client : clients) threads.emplace_back([&client] { client->run(); });
    for (std::thread& thread : threads) thread.join();
    store.stop();
  }
  CHECK(totals.wrong == 0);
  CHECK(totals.asked == totals.answered);
  CHECK(totals.hits > 0);
  CHECK(totals.purged > 0);
  CHECK(totals.erased == totals.purged);
}

TEST_CASE("Many threads over the index of a volume find what they alone put there") {
  DiskIndex index;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned own = 0; own < kThreads; ++own) {
    threads.emplace_back([&index, &wrong, own] {
      std::vector<DiskIndex::Entry> copied;
      for (std::uint64_t i = 0; i < 20'000; ++i) {
        const std::uint64_t hash =
            hash_key(std::to_string(i * kThreads + own)).hi >> (64 - DiskIndex::kHashBits);
        const DiskPlace place{.offset = i * 64, .bytes = 64, .generation = static_cast<std::uint16_t>(own)};
        index.put(hash, place);
        if (index.find(hash) != place) ++wrong;
        if (i % 3 == 0 && !index.erase_at(hash, place.offset)) ++wrong;
        if (i % 5'000 == 0) index.copy_shard(i % DiskIndex::kShards, copied);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(index.size() == kThreads * (20'000 - 6'667));
}
