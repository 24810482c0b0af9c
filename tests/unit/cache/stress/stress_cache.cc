// Many threads look up, erase, clear, and fill the same few keys while the tier evicts. Every byte that
// anybody reads must be the byte of that key. Run it under tsan and asan.
#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <thread>

#include "../cache_support.h"
#include "cache/fill_table.h"
#include "cache/memory_store.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr int kThreads = 6;
constexpr int kSteps = 400;
constexpr int kKeys = 24;

struct Totals {
  std::atomic<int> hits{0}, started{0}, joined{0}, failed{0}, refused{0}, wrong{0}, whole{0};
};

class Worker {
 public:
  Worker(MemoryStore& store, FillTable& table, SystemClock& clock, Totals& totals, unsigned seed)
      : store_(store), table_(table), clock_(clock), totals_(totals), random_(seed) {}

  void run() {
    for (int step = 0; step < kSteps; ++step) {
      const std::string name = "h/" + std::to_string(random_() % kKeys);
      const unsigned dice = random_() % 100;
      if (dice < 5) {
        store_.erase(hash_key(name), name);
      } else if (dice == 5) {
        store_.clear();
      } else {
        request(name);
      }
    }
  }

 private:
  static std::size_t size_of(std::string_view name) { return hash_key(name).lo % 150'000; }

  void request(const std::string& name) {
    const Key key = hash_key(name);
    if (ObjectRef object = store_.try_lookup(key, name).object) return check_hit(name, object);
    Joined joined = table_.join_or_start(key, name, clock_.now());
    if (joined.hit) return check_hit(name, joined.hit);
    if (joined.started()) {
      ++totals_.started;
      fetch(name, joined);
    } else {
      ++totals_.joined;
      follow(name, joined);
    }
  }

  void check_hit(const std::string& name, const ObjectRef& object) {
    ++totals_.hits;
    if (body_text(*object) != body_for(name, size_of(name))) ++totals_.wrong;
    if (random_() % 8 == 0) store_.replace_head(*object, object->freshened(fresh_head()));
  }

  void fetch(const std::string& name, Joined& joined) {
    const std::string body = body_for(name, size_of(name));
    std::string own;
    const unsigned kind = random_() % 10;
    if (kind == 0) return;  // dropped before the head
    ObjectHead head = fresh_head();
    if (random_() % 2) head.content_length = body.size();
    joined.writer.set_head(head, kind == 1 ? Reason::no_store : Reason::none);
    for (std::size_t at = 0; at < body.size(); at += 9'001) {
      if (kind == 2 && at > 40'000) return;  // dropped in the middle
      if (joined.writer.abandoned()) return;
      if (!joined.writer.append(Slice::copy(std::string_view(body).substr(at, 9'001)))) ++totals_.wrong;
      own += take_all(joined.reader);
    }
    if (!joined.writer.commit()) ++totals_.wrong;
    own += take_all(joined.reader);
    if (own != body) ++totals_.wrong;
    own.clear();
  }

  void follow(const std::string& name, Joined& joined) {
    const std::string body = body_for(name, size_of(name));
    std::string read;
    while (true) {
      const FillState state = joined.reader.state();
      read += take_all(joined.reader);
      if (std::string_view(body).substr(0, read.size()) != read) ++totals_.wrong;
      if (state == FillState::complete) {
        ++(read == body ? totals_.whole : totals_.wrong);
        return;
      }
      if (state == FillState::failed || state == FillState::refused) {
        ++(state == FillState::failed ? totals_.failed : totals_.refused);
        return;
      }
      if (random_() % 500 == 0) return;  // a client that leaves
      std::this_thread::yield();
    }
  }

  MemoryStore& store_;
  FillTable& table_;
  SystemClock& clock_;
  Totals& totals_;
  std::mt19937 random_;
};

}  // namespace

TEST_CASE("many threads fill, read, erase and evict, and every byte is right") {
  SystemClock clock;
  MemoryStore store({.budget_bytes = 1 << 20, .max_object_bytes = 140'000, .shards = 4});
  FillTable table(store, clock);
  Totals totals;
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] { Worker(store, table, clock, totals, i + 1).run(); });
    }
  }
  WARN("hits " << totals.hits << ", started " << totals.started << ", joined " << totals.joined << ", whole "
               << totals.whole << ", failed " << totals.failed << ", refused " << totals.refused);
  CHECK(totals.wrong == 0);
  CHECK(totals.hits > 0);
  CHECK(totals.started > 0);
  CHECK(table.stats().open == 0);
  store.clear();
  CHECK(store.stats().objects == 0);
  CHECK(store.stats().used_bytes == store.stats().bytes);
}
