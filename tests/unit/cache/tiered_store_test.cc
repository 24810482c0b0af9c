#include "cache/tiered_store.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <random>

#include "cache/disk/disk_index.h"
#include "cache/disk/snapshot.h"
#include "disk_tier_support.h"
#include "purge_support.h"
#include "store_conformance.h"

using namespace vignette;
using namespace vignette::cache;
using Op = FaultyDisk::Op;

namespace {

// With its own threads, as the node has it.
class WholeStore final : public Store {
 public:
  WholeStore() {
    DiskStoreOptions disk;
    disk.disks = {{folder_.path() + "/a", 24 << 20}, {folder_.path() + "/b", 12 << 20}};
    disk.segment_bytes = 1 << 20;
    store_ = std::make_unique<TieredStore>(MemoryStoreOptions{.budget_bytes = 64 << 20}, disk, clock_, log_);
    store_->start();
  }
  Lookup try_lookup(const Key& key, std::string_view name) override { return store_->try_lookup(key, name); }
  ObjectRef peek(const Key& key, std::string_view name) const override { return store_->peek(key, name); }
  void lookup(const Key& key, std::string_view name, Executor& executor,
              std::move_only_function<void(Lookup)> completion) override {
    store_->lookup(key, name, executor, std::move(completion));
  }
  Insertion insert(ObjectRef object) override { return store_->insert(std::move(object)); }
  bool replace_head(const Object& old, ObjectRef fresh) override {
    return store_->replace_head(old, std::move(fresh));
  }
  bool erase(const Key& key, std::string_view name) override { return store_->erase(key, name); }
  void clear() override { store_->clear(); }
  Reservation reserve(std::size_t bytes) override { return store_->reserve(bytes); }
  std::uint64_t max_object_bytes() const override { return store_->max_object_bytes(); }
  StoreStats stats() const override { return store_->stats(); }

 private:
  TemporaryFolder folder_;
  SystemClock clock_;
  Logger log_{LogLevel::off};
  std::unique_ptr<TieredStore> store_;
};

std::string text_of(const std::string& name, int version) { return name + "#" + std::to_string(version); }

ObjectRef versioned(const std::string& name, int version, std::size_t size) {
  const std::string fields = "ETag: \"" + std::to_string(version) + "\"\r\n";
  return Object::complete(fresh_head(fields), hash_key(name), name, body_for(text_of(name, version), size));
}

void set_failing(FaultyDisk& disk, std::initializer_list<Op> ops, bool is_failing) {
  for (const Op op : ops) {
    if (is_failing) {
      disk.fail(op, EIO);
    } else {
      disk.mend(op);
    }
  }
}

bool is_version(const Object& object, const std::string& name, int version) {
  return object.is_for(hash_key(name), name) && object.etag() == "\"" + std::to_string(version) + "\"" &&
         body_text(object) == body_for(text_of(name, version), object.body().length());
}

// The snapshot that is there with `more` entries of keys that nobody has, at the place of one of its own.
void lengthen_snapshot(FaultyDisk& disk, std::uint32_t more) {
  const std::string name(kSnapshotFile);
  const std::string before = disk.content(name);
  SnapshotHeader header;
  std::memcpy(&header, before.data(), sizeof(header));
  auto reader = SnapshotReader::open(disk, header.uuid, header.segment_bytes);
  REQUIRE(reader);
  std::vector<SnapshotEntry> entries;
  REQUIRE(reader->next(entries));
  REQUIRE_FALSE(entries.empty());
  const std::uint64_t place = entries.front().place;
  for (std::uint32_t i = 0; i < more; ++i) {
    entries.push_back({DiskIndex::hash_of(hash_key("nobody's/" + std::to_string(i))), place});
  }
  std::string after = before.substr(0, sizeof(header) + header.segments * sizeof(SegmentRecord));
  const auto append = [&](std::uint32_t number, std::string_view bytes) {
    SnapshotBlock block{kBlockMagic, number, static_cast<std::uint32_t>(bytes.size() / sizeof(SnapshotEntry)),
                        0};
    block.crc = block_crc(block, bytes, header.uuid);
    after.append(reinterpret_cast<const char*>(&block), sizeof(block)).append(bytes);
  };
  append(0, {reinterpret_cast<const char*>(entries.data()), entries.size() * sizeof(SnapshotEntry)});
  append(1, "");
  disk.set_content(name, after);
}

}  // namespace

TEST_CASE("Memory and disk together do what a map does") {
  conforms_to_a_map([] { return std::make_unique<WholeStore>(); }, 7, 3000);
}

TEST_CASE("Memory and disk together keep the edges of a store") {
  keeps_its_edges([] { return std::make_unique<WholeStore>(); });
}

TEST_CASE("A restart finds on disk what was flushed, whole") {
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  for (int i = 0; i < 50; ++i)
    tiers.store->insert(versioned("h/" + std::to_string(i), 1, 500u * static_cast<unsigned>(i)));
  tiers.restart();
  CHECK(tiers.state() == DiskState::serving);
  CHECK(tiers.store->stats().objects == 0);
  for (int i = 0; i < 50; ++i) {
    const std::string name = "h/" + std::to_string(i);
    INFO(name);
    bool from_disk = false;
    const ObjectRef found = tiers.find(name, &from_disk);
    REQUIRE(found);
    CHECK(from_disk);
    CHECK(is_version(*found, name, 1));
    CHECK(tiers.store->try_lookup(hash_key(name), name).outcome == Lookup::Outcome::hit);
  }
  CHECK_FALSE(tiers.find("h/50"));
}

TEST_CASE("What was erased or replaced does not come back with a restart") {
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  tiers.store->insert(versioned("h/erased", 1, 100));
  tiers.store->insert(versioned("h/replaced", 1, 100));
  tiers.settle();
  CHECK(tiers.store->erase(hash_key("h/erased"), "h/erased"));
  tiers.store->insert(versioned("h/replaced", 2, 200));
  tiers.restart();
  CHECK_FALSE(tiers.find("h/erased"));
  CHECK(is_version(*tiers.find("h/replaced"), "h/replaced", 2));
  // Erased while the log is still being read.
  tiers.store->stop();
  tiers.start();
  tiers.store->erase(hash_key("h/replaced"), "h/replaced");
  tiers.settle();
  CHECK_FALSE(tiers.find("h/replaced"));
  tiers.restart();
  CHECK_FALSE(tiers.find("h/replaced"));
}

TEST_CASE("A cleared store stays empty over a restart") {
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  tiers.store->insert(versioned("h/a", 1, 100));
  tiers.settle();
  tiers.store->clear();
  CHECK_FALSE(tiers.find("h/a"));
  tiers.settle();
  tiers.store->insert(versioned("h/b", 1, 100));
  tiers.restart();
  CHECK_FALSE(tiers.find("h/a"));
  CHECK(tiers.find("h/b"));
}

TEST_CASE("A store that is cleared while its disk cannot be opened is empty when it comes back") {
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  tiers.store->insert(versioned("h/a", 1, 100));
  tiers.settle();
  tiers.a.fail(Op::open, EIO);
  tiers.store->clear();
  tiers.settle();
  CHECK(tiers.state() == DiskState::offline);
  tiers.a.heal();
  tiers.pass(kProbeDiskEvery);
  CHECK(tiers.state() == DiskState::serving);
  CHECK_FALSE(tiers.find("h/a"));
  tiers.restart();
  CHECK_FALSE(tiers.find("h/a"));
}

TEST_CASE("A freshened head reaches the disk") {
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  const ObjectRef old = versioned("h/a", 1, 100);
  tiers.store->insert(old);
  ObjectHead head = fresh_head("ETag: \"1\"\r\nX-Fresh: yes\r\n");
  REQUIRE(tiers.store->replace_head(*old, old->freshened(head)));
  tiers.restart();
  const ObjectRef found = tiers.find("h/a");
  REQUIRE(found);
  CHECK(found->field("x-fresh") == "yes");
}

TEST_CASE("Lookups of one key at once share one read, and each is answered once") {
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  tiers.store->insert(versioned("h/a", 1, 5000));
  tiers.restart();
  tiers.a.set_resident(false);
  const std::uint64_t reads = tiers.a.count(Op::read);
  int answers = 0;
  for (int i = 0; i < 5; ++i) {
    tiers.store->lookup(hash_key("h/a"), "h/a", tiers.executor, [&](Lookup found) {
      REQUIRE(found.outcome == Lookup::Outcome::hit);
      CHECK(found.from_disk);
      ++answers;
    });
  }
  CHECK(tiers.pool.queued() == 1);
  tiers.executor.run();
  CHECK(answers == 0);
  tiers.pool.run_all();
  tiers.executor.run();
  CHECK(answers == 5);
  CHECK(tiers.a.count(Op::read) == reads + 1);
  CHECK(tiers.count(DiskCount::reads_pooled) == 1);
  CHECK(tiers.store->stats().hits == 5);
  CHECK(tiers.store->stats().misses == 0);
}

TEST_CASE("What is asked for is counted once as a hit or a miss, wherever it lies") {
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  tiers.store->insert(versioned("h/a", 1, 5000));
  tiers.store->insert(versioned("h/bad", 1, 5000));
  tiers.restart();
  tiers.a.set_resident(false);
  const auto counts = [&] {
    const StoreStats stats = tiers.store->stats();
    return std::pair(stats.hits, stats.misses);
  };
  REQUIRE(tiers.find("h/a"));
  CHECK(counts() == std::pair<std::uint64_t, std::uint64_t>(1, 0));
  REQUIRE(tiers.find("h/a"));
  CHECK(counts() == std::pair<std::uint64_t, std::uint64_t>(2, 0));
  REQUIRE_FALSE(tiers.find("h/none"));
  CHECK(counts() == std::pair<std::uint64_t, std::uint64_t>(2, 1));
  set_failing(tiers.a, {Op::read}, true);
  REQUIRE_FALSE(tiers.find("h/bad"));
  CHECK(counts() == std::pair<std::uint64_t, std::uint64_t>(2, 2));
}

TEST_CASE("An object that is replaced while it is read is not promoted") {
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  tiers.store->insert(versioned("h/a", 1, 5000));
  tiers.store->insert(versioned("h/b", 1, 5000));
  tiers.restart();
  tiers.a.set_resident(false);
  std::optional<Lookup> a, b;
  tiers.store->lookup(hash_key("h/a"), "h/a", tiers.executor, [&](Lookup found) { a = found; });
  tiers.store->lookup(hash_key("h/b"), "h/b", tiers.executor, [&](Lookup found) { b = found; });
  tiers.store->insert(versioned("h/a", 2, 100));
  tiers.store->erase(hash_key("h/b"), "h/b");
  tiers.pool.run_all();
  tiers.executor.run();
  REQUIRE((a && b));
  REQUIRE(a->object);
  CHECK(is_version(*a->object, "h/a", 2));
  CHECK_FALSE(b->object);
  CHECK_FALSE(tiers.find("h/b"));
}

TEST_CASE("A full queue of reads is a miss, not a wait") {
  SteppedTiers tiers;
  SteppedPool small(1);
  tiers.disk.pool = &small;
  tiers.start();
  tiers.settle();
  tiers.store->insert(versioned("h/a", 1, 100));
  tiers.store->insert(versioned("h/b", 1, 100));
  tiers.restart();
  tiers.a.set_resident(false);
  int answers = 0, hits = 0;
  const auto count = [&](Lookup found) {
    ++answers;
    hits += found.outcome == Lookup::Outcome::hit;
  };
  tiers.store->lookup(hash_key("h/a"), "h/a", tiers.executor, count);
  tiers.store->lookup(hash_key("h/b"), "h/b", tiers.executor, count);
  tiers.executor.run();
  CHECK(answers == 1);
  small.run_all();
  tiers.executor.run();
  CHECK(answers == 2);
  CHECK(hits == 1);
  CHECK(tiers.count(DiskCount::misses_busy) == 1);
}

TEST_CASE("A flipped bit on disk is a miss, never a byte to a client") {
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  tiers.store->insert(versioned("h/a", 1, 5000));
  tiers.restart();
  tiers.a.garble_reads(true);
  CHECK_FALSE(tiers.find("h/a"));
  CHECK(tiers.count(DiskCount::misses_damaged) == 1);
  tiers.a.garble_reads(false);
  CHECK_FALSE(tiers.find("h/a"));  // it is not asked again
}

TEST_CASE("Five errors in a minute take the volume away, memory goes on, and it comes back") {
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  for (int i = 0; i < 12; ++i) tiers.store->insert(versioned("h/" + std::to_string(i), 1, 1000));
  tiers.restart();
  tiers.a.fail(Op::read, EIO);
  for (int i = 0; i < 4; ++i) CHECK_FALSE(tiers.find("h/" + std::to_string(i)));
  tiers.settle();
  CHECK(tiers.state() == DiskState::serving);
  CHECK_FALSE(tiers.find("h/4"));
  CHECK(tiers.state() == DiskState::offline);
  CHECK(tiers.count(DiskCount::misses_error) == 5);
  CHECK(tiers.count(DiskCount::taken_offline) == 1);
  CHECK(tiers.store->disk_stats().offline() == 1);

  // Without the disk: misses at once, fills go to memory, what is replaced now stays replaced.
  CHECK(tiers.store->try_lookup(hash_key("h/7"), "h/7").outcome == Lookup::Outcome::miss);
  tiers.store->insert(versioned("h/8", 2, 100));
  CHECK(tiers.count(DiskCount::refused_offline) == 1);
  CHECK(is_version(*tiers.find("h/8"), "h/8", 2));
  tiers.store->erase(hash_key("h/9"), "h/9");

  tiers.a.fail(Op::open, ENODEV);
  tiers.pass(kProbeDiskEvery);
  CHECK(tiers.state() == DiskState::offline);
  tiers.a.heal();
  tiers.pass(kProbeDiskEvery - std::chrono::milliseconds(1));
  CHECK(tiers.state() == DiskState::offline);
  tiers.pass(std::chrono::milliseconds(1));
  CHECK(tiers.state() == DiskState::serving);
  CHECK(is_version(*tiers.find("h/7"), "h/7", 1));
  CHECK_FALSE(tiers.find("h/9"));
  tiers.restart();
  CHECK_FALSE(tiers.find("h/8"));  // only memory had the new one
  CHECK_FALSE(tiers.find("h/9"));
}

TEST_CASE(
    "Damage counts once a segment: one bad place costs its objects, five places take the volume away once") {
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  constexpr int kPerSegment = 5;
  const auto named = [](int number) { return "h/" + std::to_string(number); };
  for (int i = 0; i < 6 * kPerSegment; ++i) {
    tiers.store->insert(versioned(named(i), 1, 50'000));
    tiers.settle();
  }
  tiers.restart();
  tiers.a.garble_reads(true);
  for (int i = 0; i < 4 * kPerSegment; ++i) CHECK_FALSE(tiers.find(named(i)));
  CHECK(tiers.count(DiskCount::misses_damaged) == 4 * kPerSegment);
  CHECK(tiers.state() == DiskState::serving);
  CHECK_FALSE(tiers.find(named(4 * kPerSegment)));
  CHECK(tiers.state() == DiskState::offline);
  tiers.settle();
  tiers.a.heal();
  tiers.pass(kProbeDiskEvery);
  REQUIRE(tiers.state() == DiskState::serving);
  CHECK(is_version(*tiers.find(named(4 * kPerSegment + 1)), named(4 * kPerSegment + 1), 1));
  // The same places do not take it away again.
  tiers.a.garble_reads(true);
  for (int i = 4 * kPerSegment + 2; i < 5 * kPerSegment; ++i) CHECK_FALSE(tiers.find(named(i)));
  CHECK(tiers.state() == DiskState::serving);
  CHECK(tiers.count(DiskCount::taken_offline) == 1);
}

TEST_CASE("A segment that could not be written is tried again after an hour") {
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  tiers.a.fail(Op::write, EIO, 1);
  tiers.store->insert(versioned("h/a", 1, 100));
  tiers.pass(std::chrono::seconds(2));
  const auto quarantined = [&] { return tiers.store->disk_stats().total().segments_quarantined; };
  CHECK(quarantined() == 1);
  tiers.pass(DiskVolume::kLiftQuarantineEvery - std::chrono::seconds(3));
  CHECK(quarantined() == 1);
  tiers.pass(std::chrono::seconds(3));
  CHECK(quarantined() == 0);
}

TEST_CASE("Five errors in more than a minute are borne") {
  FaultMeter meter;
  TimePoint now{};
  for (int i = 0; i < 20; ++i) {
    CHECK_FALSE(meter.add(now));
    now += std::chrono::seconds(16);
  }
  CHECK_FALSE(meter.add(now));
  CHECK(meter.add(now));
}

TEST_CASE("A missing volume leaves the other one working") {
  SteppedTiers tiers;
  tiers.disk.disks.push_back({"b", 16 << 20});
  tiers.b.fail(Op::open, ENODEV);
  tiers.start();
  tiers.settle();
  CHECK(tiers.store->disk_stats().offline() == 1);
  for (int i = 0; i < 100; ++i) tiers.store->insert(versioned("h/" + std::to_string(i), 1, 100));
  tiers.restart();
  int found = 0;
  for (int i = 0; i < 100; ++i) found += tiers.find("h/" + std::to_string(i)) != nullptr;
  CHECK(found > 25);
  CHECK(found < 75);
  tiers.b.heal();
  tiers.pass(kProbeDiskEvery);
  CHECK(tiers.store->disk_stats().offline() == 0);
  for (int i = 0; i < 100; ++i) tiers.store->insert(versioned("h/" + std::to_string(i), 2, 100));
  tiers.restart();
  for (int i = 0; i < 100; ++i) {
    const std::string name = "h/" + std::to_string(i);
    const ObjectRef object = tiers.find(name);
    REQUIRE(object);
    CHECK(is_version(*object, name, 2));
  }
}

TEST_CASE("While the oldest waits longer than a quarter of a second, new fills stay in memory") {
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  tiers.store->insert(versioned("h/a", 1, 100));
  tiers.clock.advance(DiskVolume::kOldestQueued);
  tiers.store->insert(versioned("h/b", 1, 100));
  CHECK(tiers.count(DiskCount::refused_queue_old) == 0);
  tiers.clock.advance(std::chrono::milliseconds(1));
  tiers.store->insert(versioned("h/c", 1, 100));
  CHECK(tiers.count(DiskCount::refused_queue_old) == 1);
  tiers.settle();
  tiers.store->insert(versioned("h/d", 1, 100));
  tiers.restart();
  CHECK(tiers.find("h/a"));
  CHECK(tiers.find("h/b"));
  CHECK_FALSE(tiers.find("h/c"));
  CHECK(tiers.find("h/d"));
}

TEST_CASE("Bytes that wait for the disk are bounded") {
  SteppedTiers tiers;
  tiers.disk.queue_bytes = 1 << 20;
  tiers.start();
  tiers.settle();
  for (int i = 0; i < 40; ++i) tiers.store->insert(versioned("h/" + std::to_string(i), 1, 50'000));
  CHECK(tiers.store->disk_stats().total().queued_bytes <= 1 << 20);
  CHECK(tiers.count(DiskCount::refused_queue_full) == 20);
}

TEST_CASE("An object that waits for the disk is found there when memory has let it go") {
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  DiskStore& disk = *tiers.store->disk();
  const ObjectRef object = versioned("h/a", 1, 100);
  disk.put(object, DiskOffer::first);
  CHECK(tiers.store->try_lookup(hash_key("h/a"), "h/a").outcome == Lookup::Outcome::must_wait);
  CHECK(tiers.find("h/a") == object);
  CHECK(tiers.count(DiskCount::reads_queued) == 1);
}

TEST_CASE("Once the disk was full, only what is asked for twice goes there") {
  SteppedTiers tiers(8 << 20, 2 << 20);
  tiers.start();
  tiers.settle();
  for (int i = 0; i < 100; ++i) {
    tiers.store->insert(versioned("h/fill" + std::to_string(i), 1, 50'000));
    tiers.settle();
  }
  CHECK(tiers.count(DiskCount::refused_once) > 0);
  const std::uint64_t written = tiers.count(DiskCount::written);
  tiers.store->insert(versioned("h/once", 1, 1000));
  tiers.store->insert(versioned("h/twice", 1, 1000));
  tiers.settle();
  CHECK(tiers.count(DiskCount::written) == written);
  CHECK(tiers.find("h/twice"));
  CHECK(tiers.find("h/twice"));
  tiers.settle();
  CHECK(tiers.count(DiskCount::written) == written + 1);
  tiers.restart();
  CHECK_FALSE(tiers.find("h/once"));
  CHECK(tiers.find("h/twice"));
}

TEST_CASE("Reclaim keeps what was asked for and drops the rest") {
  SteppedTiers tiers(8 << 20, 2 << 20);
  tiers.start();
  tiers.settle();
  DiskStore& disk = *tiers.store->disk();
  disk.put(versioned("h/hot", 1, 1000), DiskOffer::asked_again);
  disk.put(versioned("h/cold", 1, 1000), DiskOffer::asked_again);
  tiers.settle();
  for (int i = 0; i < 120; ++i) {
    // Read, but not promoted: the index alone decides.
    disk.read(hash_key("h/hot"), "h/hot", [](DiskRead) {});
    disk.put(versioned("h/" + std::to_string(i), 1, 50'000), DiskOffer::asked_again);
    tiers.settle();
  }
  const DiskVolumeStats stats = tiers.store->disk_stats().total();
  CHECK(stats.kept_bytes > 0);
  CHECK(stats.write_amplification() <= 1.34);
  CHECK(tiers.find("h/hot"));
  CHECK_FALSE(tiers.find("h/cold"));
}

TEST_CASE("A snapshot is written each minute in which something changed") {
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  tiers.store->insert(versioned("h/a", 1, 100));
  tiers.pass(std::chrono::seconds(59));
  CHECK(tiers.count(DiskCount::snapshots) == 0);
  tiers.pass(std::chrono::seconds(1));
  CHECK(tiers.count(DiskCount::snapshots) == 1);
  tiers.pass(std::chrono::seconds(60));
  CHECK(tiers.count(DiskCount::snapshots) == 1);
}

TEST_CASE("A purged object on disk is a miss, and is not kept by reclaim") {
  SteppedTiers tiers;
  PurgeBook book(tiers.clock);
  tiers.memory.purges = &book;
  tiers.start();
  tiers.settle();
  ObjectHead head = fresh_head();
  head.sequence = book.sequence();
  tiers.store->insert(Object::complete(head, hash_key("h/a"), "h/a", "old"));
  tiers.restart();
  CHECK(tiers.find("h/a"));
  tiers.restart();
  REQUIRE(book.purge({.kind = PurgeKind::url, .name = "h/a", .origin = ""}, PurgeMode::hard));
  CHECK_FALSE(tiers.find("h/a"));
}

TEST_CASE("What began since a purge that no journal has stays in memory until one has it") {
  SteppedTiers tiers;
  JournalScene on;
  PurgeBook book(tiers.clock);
  on.open(book);
  tiers.memory.purges = &book;
  tiers.start();
  tiers.settle();
  tiers.store->insert(stored(book, "h/a"));
  tiers.settle();
  {
    const FullFileSystem full(0);
    REQUIRE(book.purge(url("h/a"), PurgeMode::hard)->not_durable);
  }
  CHECK_FALSE(tiers.find("h/a"));
  tiers.store->insert(stored(book, "h/a"));
  tiers.settle();
  CHECK(tiers.find("h/a"));
  CHECK_FALSE(tiers.store->disk()->has(hash_key("h/a")));
  REQUIRE(book.sync());
  tiers.store->insert(stored(book, "h/a"));
  tiers.settle();
  CHECK(tiers.store->disk()->has(hash_key("h/a")));
}

// A small memory over a disk that fails now and then: a hit is always the newest version, never one that was
// erased; restarts change nothing but what memory alone had.
TEST_CASE("Two tiers beside a map, with a failing disk and restarts") {
  SteppedTiers tiers(1 << 20, 6 << 20);
  tiers.start();
  tiers.settle();
  std::mt19937 random(GENERATE(1u, 2u, 3u, 4u));
  std::map<std::string, int> model;
  int version = 0, hits = 0, from_disk_hits = 0;
  for (int step = 0; step < 4000; ++step) {
    const std::string name = "h/" + std::to_string(random() % 150);
    const unsigned dice = random() % 1000;
    if (dice < 300) {
      if (tiers.store->insert(versioned(name, ++version, random() % 30'000)) <= Insertion::replaced) {
        model[name] = version;
      }
    } else if (dice < 340) {
      tiers.store->erase(hash_key(name), name);
      model.erase(name);
    } else if (dice < 360) {
      const ObjectRef old = tiers.find(name);
      const std::string fields = "ETag: \"" + std::to_string(model[name]) + "\"\r\nX-Fresh: 1\r\n";
      if (old) tiers.store->replace_head(*old, old->freshened(fresh_head(fields)));
      if (!old && model[name] == 0) model.erase(name);
    } else if (dice < 366) {
      // What could not be written down before the end cannot be known after it.
      tiers.a.heal();
      tiers.pass(kProbeDiskEvery);
      tiers.pass(kProbeDiskEvery);
      tiers.restart();
    } else if (dice < 372) {
      set_failing(tiers.a, {Op::read}, random() % 2 == 0);
    } else if (dice < 374) {
      set_failing(tiers.a, {Op::write, Op::sync}, random() % 4 == 0);
    } else if (dice < 376) {
      tiers.a.garble_reads(random() % 3 == 0);
    } else if (dice < 378) {
      tiers.a.set_resident(random() % 2 == 0);
    } else if (dice < 384) {
      tiers.a.heal();
      tiers.pass(kProbeDiskEvery);
    } else if (dice < 500) {
      tiers.pass(std::chrono::milliseconds(random() % 100));
    } else {
      bool from_disk = false;
      const ObjectRef found = tiers.find(name, &from_disk);
      if (!found) continue;
      ++hits;
      from_disk_hits += from_disk;
      INFO("step " << step << ", " << name << ", version " << model[name] << ", got " << found->etag());
      REQUIRE(is_version(*found, name, model[name]));
    }
  }
  CHECK(hits > 300);
  CHECK(from_disk_hits > 30);
}

TEST_CASE(
    "A start from a snapshot with many entries finds all of them, and nothing older than what came since") {
  constexpr std::uint32_t kMore = 40'000;  // a helper takes half of such a block
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  for (int i = 0; i < 40; ++i) tiers.store->insert(versioned("h/" + std::to_string(i), 1, 20'000));
  tiers.settle();
  tiers.restart();
  const std::uint64_t objects = tiers.store->disk_stats().volumes.front().objects;
  REQUIRE(objects == 40);
  tiers.store->stop();
  tiers.store.reset();
  lengthen_snapshot(tiers.a, kMore);
  tiers.start();
  for (int i = 0; i < 10 && tiers.state() == DiskState::offline; ++i) tiers.store->disk()->step();
  REQUIRE(tiers.state() == DiskState::recovering);
  // Before all of the snapshot is read: its key has an older place in there.
  tiers.store->insert(versioned("h/3", 2, 20'000));
  tiers.settle();
  const DiskVolumeStats stats = tiers.store->disk_stats().volumes.front();
  CHECK(stats.state == DiskState::serving);
  CHECK(stats.objects >= kMore + objects - 1);  // two of the names may have one hash
  tiers.restart();
  for (int i = 0; i < 40; ++i) {
    const std::string name = "h/" + std::to_string(i);
    INFO(name);
    const ObjectRef object = tiers.find(name);
    if (i == 3 && !object) continue;  // memory had the newer one, and the disk may not have taken it
    REQUIRE(object);
    CHECK(is_version(*object, name, i == 3 ? 2 : 1));
  }
}
