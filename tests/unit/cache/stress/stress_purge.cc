// Many threads fill, join and look up a few keys while two others publish new versions and purge. Nobody who
// asks after a purge was answered may see a version from before it. Run it under tsan and asan.
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <charconv>
#include <random>
#include <thread>
#include <vector>

#include "../cache_support.h"
#include "cache/fill_table.h"
#include "cache/memory_store.h"
#include "cache/purge/purge_book.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr int kReaders = 4;
constexpr int kPurgers = 2;
constexpr int kPurges = 150;  // of each
constexpr int kKeys = 6;

// What the origin has of a key, and what may be served at the least.
struct Published {
  std::atomic<std::uint64_t> version{1};
  std::atomic<std::uint64_t> least{1};
  std::mutex purging;  // of this key: a purge stands for the version that it was made for
};

struct Site {
  SystemClock clock;
  PurgeBook book{clock};
  MemoryStore store{{.budget_bytes = 8u << 20, .max_object_bytes = 0, .shards = 4, .purges = &book}};
  FillTable table{store, clock};
  std::array<Published, kKeys> published;
  std::atomic<int> purgers_left{kPurgers};
  std::atomic<int> hits{0}, started{0}, followed{0}, refused{0}, stale{0}, purged_fills{0}, broken{0};
};

std::string name_of(int number) { return "h/" + std::to_string(number); }

std::uint64_t version_in(const std::string& body) {
  std::uint64_t version = 0;
  std::from_chars(body.data(), body.data() + body.size(), version);
  return version;
}

class Reading {
 public:
  Reading(Site& site, unsigned seed) : site_(site), random_(seed) {}

  void run() {
    while (site_.purgers_left > 0) ask(static_cast<int>(random_() % kKeys));
  }

 private:
  void ask(int number) {
    const std::string name = name_of(number);
    const Key key = hash_key(name);
    Published& published = site_.published[static_cast<std::size_t>(number)];
    const std::uint64_t least = published.least.load();
    if (ObjectRef object = site_.store.try_lookup(key, name).object) return check(*object, least, site_.hits);
    Joined joined = site_.table.join_or_start(key, name, site_.clock.now());
    if (joined.hit) return check(*joined.hit, least, site_.hits);
    if (joined.started()) fetch(published, number, joined);
    follow(joined.reader, least);
  }

  void fetch(Published& published, int number, Joined& joined) {
    ++site_.started;
    const std::string body = std::to_string(published.version.load());
    ObjectHead head = fresh_head();
    const std::string tags = "t" + std::to_string(number);
    head.tags = tags;
    if (random_() % 2) std::this_thread::yield();
    if (joined.writer.set_head(head, Reason::none) != HeadVerdict::storing) ++site_.broken;
    if (random_() % 2) std::this_thread::yield();
    if (!joined.writer.append(Slice::copy(body)) || !joined.writer.commit()) ++site_.broken;
    if (joined.fill->reason() == Reason::purged) ++site_.purged_fills;
  }

  void follow(Reader& reader, std::uint64_t least) {
    while (reader.state() == FillState::waiting_head || reader.state() == FillState::streaming) {
      std::this_thread::yield();
    }
    if (reader.state() != FillState::complete) {
      ++site_.refused;
      return;
    }
    check(*reader.object(), least, site_.followed);
  }

  void check(const Object& object, std::uint64_t least, std::atomic<int>& counter) {
    ++counter;
    if (version_in(body_text(object)) < least) ++site_.stale;
  }

  Site& site_;
  std::mt19937 random_;
};

void purge(Site& site, unsigned seed) {
  std::mt19937 random(seed);
  for (int i = 0; i < kPurges; ++i) {
    const int number = static_cast<int>(random() % kKeys);
    Published& published = site.published[static_cast<std::size_t>(number)];
    const std::lock_guard lock(published.purging);
    const std::uint64_t version = ++published.version;
    PurgeTarget target;
    switch (random() % 4) {
      case 0:
        target = {.kind = PurgeKind::url, .name = name_of(number), .origin = {}};
        break;
      case 1:
        target = {.kind = PurgeKind::prefix, .name = name_of(number), .origin = {}};
        break;
      case 2:
        target = {.kind = PurgeKind::tag, .name = "t" + std::to_string(number), .origin = {}};
        break;
      default:
        break;
    }
    if (!site.book.purge(target, PurgeMode::hard)) ++site.broken;
    published.least = version;
    std::this_thread::yield();
  }
  --site.purgers_left;
}

}  // namespace

TEST_CASE("no reader sees what was purged before it asked, however fills and purges meet") {
  Site site;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kReaders; ++i) {
    threads.emplace_back([&site, i] { Reading(site, i).run(); });
  }
  for (unsigned i = 0; i < kPurgers; ++i) threads.emplace_back([&site, i] { purge(site, 100 + i); });
  for (std::thread& thread : threads) thread.join();
  CAPTURE(site.hits.load(), site.started.load(), site.followed.load(), site.refused.load(),
          site.purged_fills.load());
  CHECK(site.stale == 0);
  CHECK(site.broken == 0);
  CHECK(site.hits > 0);
  CHECK(site.started > 0);
  CHECK(site.book.stats().purges == kPurgers * kPurges);
  CHECK(site.table.stats().open == 0);
}
