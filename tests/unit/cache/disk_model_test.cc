// The log beside a plain map: random appends, overwrites, erasures, reads, snapshots, faults, stops and
// crashes.
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>

#include "disk_support.h"

using namespace vignette;
using namespace vignette::cache;
using Op = FaultyDisk::Op;

namespace {

class Walk {
 public:
  Walk(unsigned seed, std::uint32_t segments, bool is_hostile)
      : disk_(seed), store_(disk_, segments), random_(seed), is_hostile_(is_hostile) {
    store_.index.is_wanted = [](const FooterEntry& entry) { return entry.key_lo % 2 == 0; };
    store_.start();
  }

  void run(int steps) {
    for (int step = 0; step < steps; ++step) {
      INFO("step " << step);
      const unsigned dice = random_() % 100;
      if (dice < 55) {
        append();
      } else if (dice < 60) {
        erase();
      } else if (dice < 90) {
        look();
      } else if (dice < 93) {
        REQUIRE_NOTHROW((void)store_.snapshot());
      } else if (dice < 95) {
        barrier();
      } else if (dice < 97) {
        store_.clock.advance(std::chrono::seconds(1));
        (void)store_.volume().tick();
      } else {
        restart();
      }
    }
    check_all();
  }

  int hits = 0;
  int crashes = 0;
  int durable_checks = 0;

 private:
  static std::string name_of(unsigned number) { return "h/photo-" + std::to_string(number); }
  std::string pick() { return name_of(random_() % 40); }

  // The version is in the field and in every byte of the body.
  static ObjectRef make(const std::string& name, int version, std::size_t size) {
    ObjectHead head = fresh_head();
    const std::string fields = "X-Version: " + std::to_string(version) + "\r\n";
    head.fields = fields;
    head.sequence = static_cast<std::uint64_t>(version);
    return Object::complete(head, hash_key(name), name, body_for(name + std::to_string(version), size));
  }

  void append() {
    const std::string name = pick();
    const int version = ++versions_;
    const std::size_t size = random_() % 3 == 0 ? random_() % 12'000 : random_() % 600;
    if (store_.put(make(name, version, size))) {
      latest_[name] = version;
      erased_.erase(name);
    } else {
      REQUIRE(is_hostile_);
    }
  }

  // (An erasure that cannot be written is for purges to remember.)
  void erase() {
    if (is_hostile_) return;
    const std::string name = pick();
    store_.erase(name);
    latest_.erase(name);
    durable_.erase(DiskIndex::hash_of(hash_key(name)));
  }

  void look() { check(pick()); }

  // Whole, of this key, and the newest version, or nothing; nothing only with a reason.
  void check(const std::string& name) {
    const ObjectRef object = store_.get(name);
    if (store_.fault) REQUIRE((is_hostile_ || crashes > 0));
    if (!object) {
      if (store_.fault || is_hostile_) return;
      const auto location = store_.where(name);
      REQUIRE_FALSE((location && store_.volume().plan(*location)));
      return;
    }
    ++hits;
    const int version = version_of(*object);
    REQUIRE(object->is_for(hash_key(name), name));
    REQUIRE(body_text(*object) == body_for(name + std::to_string(version), object->body().length()));
    REQUIRE(object->sequence() == static_cast<std::uint64_t>(version));
    if (!is_hostile_) REQUIRE(version == latest_.at(name));
    REQUIRE(version <= versions_);
  }

  static int version_of(const Object& object) {
    return std::stoi(std::string(object.field("x-version").value()));
  }

  void check_all() {
    for (unsigned i = 0; i < 40; ++i) check(name_of(i));
  }

  // What a crash may take back is unknown until it has happened; from there on it is known again.
  void learn() {
    latest_.clear();
    for (unsigned i = 0; i < 40; ++i) {
      if (const ObjectRef object = store_.get(name_of(i))) latest_[name_of(i)] = version_of(*object);
    }
  }

  // What is stored or erased now survives a crash.
  void barrier() {
    if (is_hostile_) return;
    REQUIRE(store_.volume().flush());
    REQUIRE(store_.volume().file().sync_data());
    durable_ = store_.index.places;
    erased_.clear();
    for (unsigned i = 0; i < 40; ++i) {
      if (!store_.where(name_of(i))) erased_.insert(name_of(i));
    }
    reclaimed_ = store_.volume().counters().reclaimed;
  }

  void restart() {
    if (is_hostile_ && random_() % 2 == 0) damage();
    const unsigned how = random_() % 4;
    if (how == 0) stop_in_order();
    if (how == 1) kill(true);
    if (how == 2) kill(false);
    if (how == 3) crash();
    durable_.clear();
    erased_.clear();
    check_all();
  }

  // A disk that failed when the volume was opened may do better the next time.
  void start() {
    if (!store_.open()) {
      REQUIRE(is_hostile_);
      disk_.heal();
      REQUIRE(store_.open());
    }
    store_.recover();
  }

  // Without places that are dead: of needles that a crash took and reclaim could not find any more.
  std::map<std::uint64_t, Location> readable() {
    std::map<std::uint64_t, Location> places = store_.index.places;
    std::erase_if(places, [this](const auto& known) { return !store_.volume().plan(known.second); });
    return places;
  }

  // Nothing is missing and nothing comes back.
  void stop_in_order() {
    const auto before = readable();
    REQUIRE((store_.volume().close() || is_hostile_));
    start();
    if (!is_hostile_) REQUIRE(store_.index.places == before);
  }

  // What was written is there, what was in RAM only is not.
  void kill(bool is_flushed) {
    if (is_flushed) REQUIRE((store_.volume().flush() || is_hostile_));
    const auto before = readable();
    start();
    if (is_flushed && !is_hostile_) REQUIRE(store_.index.places == before);
    if (!is_flushed) learn();
  }

  // Of the machine. What was durable, and not reclaimed, erased or overwritten since, is there; what was
  // erased is not.
  void crash() {
    ++crashes;
    const bool is_whole = store_.volume().counters().reclaimed == reclaimed_ && !is_hostile_;
    std::erase_if(durable_,
                  [this](const auto& known) { return store_.index.places[known.first] != known.second; });
    store_.stop();
    disk_.crash();
    start();
    for (const auto& [hash, location] : durable_) {
      if (!is_whole) break;
      ++durable_checks;
      const auto found = store_.index.places.find(hash);
      REQUIRE(found != store_.index.places.end());
      REQUIRE(found->second == location);
    }
    for (const std::string& name : erased_) REQUIRE_FALSE(store_.where(name));
    learn();
  }

  void damage() {
    switch (random_() % 4) {
      case 0:
        disk_.flip_bit(std::string(kVolumeFile), kSegmentsBegin + random_() % (8 * kTestSegment),
                       random_() % 8);
        break;
      case 1: {
        const std::string index(kSnapshotFile);
        const std::size_t size = disk_.content(index).size();
        if (size > 0) disk_.flip_bit(index, random_() % size, random_() % 8);
        break;
      }
      case 2:
        disk_.tear_writes(random_() % 2 == 0);
        disk_.fail(Op::write, EIO, 1, static_cast<int>(random_() % 4));
        break;
      default:
        disk_.fail(Op::read, EIO, 2, static_cast<int>(random_() % 10));
        break;
    }
  }

  FaultyDisk disk_;
  LogScene store_;
  std::mt19937 random_;
  const bool is_hostile_;
  int versions_ = 0;
  std::map<std::string, int> latest_;  // of each key; none: erased, or never there
  std::map<std::uint64_t, Location> durable_;
  std::set<std::string> erased_;  // or dropped, at the last barrier, and not stored since
  std::uint64_t reclaimed_ = 0;   // at the last barrier
};

}  // namespace

TEST_CASE("The log agrees with a map through overwrites, reclaim, stops and crashes") {
  int hits = 0;
  int crashes = 0;
  int durable = 0;
  for (unsigned seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    Walk walk(seed, 8, false);
    walk.run(400);
    hits += walk.hits;
    crashes += walk.crashes;
    durable += walk.durable_checks;
  }
  CHECK(hits > 5000);
  CHECK(crashes > 50);
  CHECK(durable > 500);
}

TEST_CASE("On a disk that fails, tears and flips bits the log gives whole objects or misses") {
  int hits = 0;
  for (unsigned seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    Walk walk(1000 + seed, 8, true);
    walk.run(400);
    hits += walk.hits;
  }
  CHECK(hits > 2000);
}
