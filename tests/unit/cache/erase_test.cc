// Purges that erase: what they name is nowhere in the volume's file once they are answered, however it came
// there, and whatever fails or ends in between; what they do not name stays.
#include "cache/purge/erase.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "cache/purge/identity.h"
#include "disk_support.h"
#include "disk_tier_support.h"
#include "purge_support.h"

using namespace vignette;
using namespace vignette::cache;
using Op = FaultyDisk::Op;

namespace {

const std::string kVolume(kVolumeFile);

// Found in every 64 bytes of a body.
std::string mark_of(const std::string& name, int version) {
  return "<" + name + "#" + std::to_string(version) + ">";
}

std::string marked_body(const std::string& name, int version, std::size_t size) {
  std::string body;
  while (body.size() < size) body += mark_of(name, version);
  return body;
}

// Whether it is in one sector: a crash may put the end of one mark behind the beginning of another.
bool holds(std::string_view bytes, std::string_view mark) {
  for (std::size_t at = bytes.find(mark); at != bytes.npos; at = bytes.find(mark, at + 1)) {
    if (at % FaultyDisk::kSector + mark.size() <= FaultyDisk::kSector) return true;
  }
  return false;
}

// Two tiers over a small disk with a journal of purges beside it; both outlive restarts.
struct ErasingScene {
  explicit ErasingScene(unsigned seed = 1) : tiers(8 << 20, 2 << 20) {
    tiers.a = FaultyDisk(seed);
    open_book();
    tiers.start();
    tiers.settle();
  }

  void open_book() {
    book = std::make_unique<PurgeBook>(tiers.clock);
    std::string report;
    REQUIRE(book->open_journal(folder.path(), report));
    tiers.memory.purges = book.get();
  }
  // An end in order, or one in which nothing more reaches the disk.
  void restart(bool is_crash = false) {
    if (is_crash) tiers.a.fail(Op::write, EIO);
    tiers.store->stop();
    tiers.store.reset();
    if (is_crash) {
      tiers.a.crash();
      tiers.a.heal();
    }
    open_book();
    tiers.start();
    tiers.settle();
  }

  ObjectRef put(const std::string& name, int version, const std::string& tags = "", std::size_t size = 3000) {
    ObjectHead head = fresh_head();
    head.sequence = book->sequence();
    head.tags = tags;
    ObjectRef object = Object::complete(head, hash_key(name), name, marked_body(name, version, size));
    tiers.store->insert(object);
    return object;
  }
  // Straight to the disk, whatever admission thinks of it.
  void write(const std::string& name, int version, const std::string& tags = "", std::size_t size = 3000) {
    ObjectHead head = fresh_head();
    head.sequence = book->sequence();
    head.tags = tags;
    tiers.store->disk()->put(Object::complete(head, hash_key(name), name, marked_body(name, version, size)),
                             DiskOffer::asked_again);
    for (int i = 0; i < 4; ++i) tiers.store->disk()->step();
  }
  // Others, so that the log goes round.
  void write_others(int count) {
    for (int i = 0; i < count; ++i) write("h/other-" + std::to_string(++others), 1, "", 50'000);
  }

  void order(const PurgeTarget& target) { REQUIRE(book->purge(target, PurgeMode::erase)); }
  Result<Erased> erase() {
    std::optional<Result<Erased>> done;
    erase_owed(*book, *tiers.store, [&](Result<Erased> result) { done = std::move(result); });
    tiers.pass(std::chrono::seconds(2));
    REQUIRE(done);
    return *done;
  }
  bool is_on_disk(std::string_view text) const { return holds(tiers.a.content(kVolume), text); }

  TemporaryFolder folder;
  SteppedTiers tiers;
  std::unique_ptr<PurgeBook> book;
  int others = 0;
};

}  // namespace

TEST_CASE("Every copy of an erased object is overwritten: the newest, older ones, moved ones, and remains") {
  ErasingScene scene;
  scene.write("h/before", 1);
  for (int version = 1; version <= 3; ++version) scene.write("h/secret", version, "", 20'000);
  scene.write("h/after", 1);
  const bool is_moved = GENERATE(false, true);
  const bool is_sealed = GENERATE(false, true);
  if (is_sealed) scene.write_others(6);
  for (int i = 0; is_moved && i < 60; ++i) {
    // Read now and then, so that reclaim keeps it.
    for (const char* name : {"h/secret", "h/before", "h/after"}) {
      scene.tiers.store->disk()->read(hash_key(name), name, [](DiskRead) {});
    }
    scene.write_others(1);
  }
  scene.tiers.pass(std::chrono::seconds(2));
  if (is_moved) REQUIRE(scene.tiers.store->disk_stats().total().kept_bytes > 0);
  REQUIRE(scene.is_on_disk(mark_of("h/secret", 3)));

  scene.order(url("h/secret"));
  const auto erased = scene.erase();
  REQUIRE(erased);
  CHECK(erased->objects == 1);
  CHECK(erased->copies >= (is_moved ? 1 : 3));
  CHECK(erased->bytes >= 20'000);
  CHECK_FALSE(scene.is_on_disk("h/secret"));
  CHECK(scene.book->owed_epoch() == 0);
  CHECK_FALSE(scene.tiers.find("h/secret"));
  CHECK(body_text(*scene.tiers.find("h/before")) == marked_body("h/before", 1, 3000));
  scene.restart();
  CHECK_FALSE(scene.tiers.find("h/secret"));
  CHECK(body_text(*scene.tiers.find("h/after")) == marked_body("h/after", 1, 3000));
  CHECK_FALSE(scene.is_on_disk("h/secret"));
  CHECK(scene.tiers.count(DiskCount::misses_damaged) == 0);
}

TEST_CASE("What waits for the disk when it is erased never gets there, however long the queue is") {
  ErasingScene scene;
  scene.put("h/first", 1, "red");
  // More than is written while every segment is looked at.
  for (int i = 0; i < 700; ++i) scene.put("h/" + std::to_string(i), 1, "", 100);
  scene.put("h/last", 1, "red", 100);
  scene.put("h/kept", 1, "blue", 100);
  scene.order(tag("red"));
  REQUIRE(scene.erase());
  scene.tiers.pass(std::chrono::seconds(2));
  CHECK_FALSE(scene.is_on_disk(mark_of("h/first", 1)));
  CHECK_FALSE(scene.is_on_disk(mark_of("h/last", 1)));
  CHECK(scene.is_on_disk(mark_of("h/kept", 1)));
}

TEST_CASE("An erased object does not uncover an older one of its key") {
  ErasingScene scene;
  scene.write("h/a", 1);
  scene.write_others(6);
  scene.write("h/a", 2, "red");
  const bool is_sealed = GENERATE(false, true);
  if (is_sealed) scene.write_others(12);
  scene.tiers.pass(std::chrono::seconds(2));
  scene.order(tag("red"));
  REQUIRE(scene.erase());
  CHECK_FALSE(scene.is_on_disk(mark_of("h/a", 2)));
  CHECK(scene.is_on_disk(mark_of("h/a", 1)));  // it does not carry the tag
  CHECK_FALSE(scene.tiers.find("h/a"));
  const bool has_snapshot = GENERATE(false, true);
  if (!has_snapshot) {
    scene.tiers.store->stop();
    REQUIRE(scene.tiers.a.remove(kSnapshotFile));
  }
  scene.restart();
  CHECK_FALSE(scene.tiers.find("h/a"));
  scene.restart();
  CHECK_FALSE(scene.tiers.find("h/a"));
}

TEST_CASE("A reader that is under way while its object is erased gets a miss, and no fault is counted") {
  ErasingScene scene;
  scene.write("h/secret", 1);
  scene.restart();
  scene.tiers.a.set_resident(false);
  std::optional<Lookup> found;
  scene.tiers.store->lookup(hash_key("h/secret"), "h/secret", scene.tiers.executor,
                            [&](Lookup lookup) { found = std::move(lookup); });
  REQUIRE(scene.tiers.pool.queued() == 1);
  scene.order(url("h/secret"));
  REQUIRE(scene.erase());
  scene.tiers.pool.run_all();
  scene.tiers.executor.run();
  REQUIRE(found);
  CHECK_FALSE(found->object);
  CHECK(scene.tiers.count(DiskCount::misses_gone) == 1);
  CHECK(scene.tiers.count(DiskCount::misses_damaged) == 0);
  CHECK(scene.tiers.state() == DiskState::serving);
}

TEST_CASE("Erasing everything leaves no object on the disk") {
  ErasingScene scene;
  scene.write("h/a", 1);
  scene.write_others(60);
  scene.order({});
  const auto erased = scene.erase();
  REQUIRE(erased);
  CHECK(erased->copies > 20);
  CHECK_FALSE(scene.is_on_disk("h/other-"));
  CHECK_FALSE(scene.is_on_disk("h/a"));
  scene.write("h/a", 2);
  CHECK(scene.tiers.find("h/a"));
}

TEST_CASE("An error while bytes are overwritten is told, and they go on being owed") {
  ErasingScene scene;
  scene.write("h/secret", 1);
  scene.write_others(10);
  scene.restart();
  scene.order(url("h/secret"));
  const Op what = GENERATE(Op::write, Op::sync, Op::read);
  scene.tiers.a.tear_writes(GENERATE(false, true));
  scene.tiers.a.fail(what, EIO, 1);
  const auto failed = scene.erase();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::io);
  CHECK(scene.book->owed_epoch() != 0);
  CHECK_FALSE(scene.tiers.find("h/secret"));
  scene.tiers.a.heal();
  scene.restart();
  REQUIRE(scene.book->owed_epoch() != 0);
  CHECK_FALSE(scene.tiers.find("h/secret"));
  REQUIRE(scene.erase());
  CHECK_FALSE(scene.is_on_disk(mark_of("h/secret", 1)));
  CHECK(scene.book->owed_epoch() == 0);
}

TEST_CASE("A disk that is away is erased when it is back") {
  ErasingScene scene;
  scene.write("h/secret", 1);
  scene.restart();
  for (int i = 0; i < 5; ++i) {
    scene.tiers.a.fail(Op::read, EIO);
    scene.write("h/x" + std::to_string(i), 1);
    scene.tiers.store->disk()->read(hash_key("h/secret"), "h/secret", [](DiskRead) {});
  }
  scene.tiers.settle();
  REQUIRE(scene.tiers.state() == DiskState::offline);
  int times_back = 0;
  scene.tiers.store->set_on_disk_back([&] { ++times_back; });
  scene.order(url("h/secret"));
  const auto failed = scene.erase();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::unavailable);
  CHECK(times_back == 0);
  scene.tiers.a.heal();
  scene.tiers.pass(kProbeDiskEvery);
  CHECK(times_back == 1);
  CHECK(scene.is_on_disk(mark_of("h/secret", 1)));
  REQUIRE(scene.erase());
  CHECK_FALSE(scene.is_on_disk(mark_of("h/secret", 1)));
}

TEST_CASE("Two orders at once are both done, and one at an end is refused") {
  ErasingScene scene;
  scene.write("h/a", 1);
  scene.write("h/b", 1);
  std::vector<Result<Erased>> results;
  const auto begin = [&] {
    erase_owed(*scene.book, *scene.tiers.store, [&](Result<Erased> done) { results.push_back(done); });
  };
  scene.order(url("h/a"));
  begin();
  scene.tiers.store->disk()->step();
  scene.order(url("h/b"));
  begin();
  scene.tiers.settle();
  REQUIRE(results.size() == 2);
  CHECK(results[0]);
  CHECK(results[1]);
  CHECK_FALSE(scene.is_on_disk("h/a"));
  CHECK_FALSE(scene.is_on_disk("h/b"));
  scene.order(url("h/a"));
  begin();
  scene.tiers.store->stop();
  REQUIRE(results.size() == 3);
  CHECK_FALSE(results[2]);
  CHECK(scene.book->owed_epoch() != 0);
}

// Random writes, reads, restarts and crashes; erasing that is cut off anywhere is done at the next start.
TEST_CASE("However the node ends, nothing that was erased is on the disk once it is answered") {
  ErasingScene scene(GENERATE(1u, 2u, 3u));
  std::mt19937 random(GENERATE(11u, 12u));
  std::map<std::string, std::set<std::pair<std::string, int>>> carriers;  // of a tag: names and versions
  std::set<std::string, std::less<>> gone;                                // marks of what was erased
  int version = 0, erasures = 0, crashes = 0;
  const auto check_gone = [&] {
    const std::string bytes = scene.tiers.a.content(kVolume);
    std::string_view good;  // the mark before, which a body repeats
    for (std::size_t at = bytes.find('<'); at != bytes.npos; at = bytes.find('<', at + 1)) {
      const auto mark = std::string_view(bytes).substr(at, bytes.find('>', at) + 1 - at);
      if (mark == good) continue;
      const bool is_whole = at % FaultyDisk::kSector + mark.size() <= FaultyDisk::kSector;
      const bool is_gone = gone.contains(mark);
      if (is_whole && is_gone) FAIL(mark << " was erased");
      if (!is_gone) good = mark;
    }
  };
  for (int step = 0; step < 200; ++step) {
    INFO("step " << step);
    const std::string name = "h/" + std::to_string(random() % 12);
    const std::string word = "t" + std::to_string(random() % 4);
    const unsigned dice = random() % 100;
    if (dice < 70) {
      carriers[word].emplace(name, ++version);
      if (dice < 40) {
        scene.write(name, version, word, random() % 40'000);
      } else {
        scene.put(name, version, word, random() % 40'000);
      }
    } else if (dice < 85) {
      static_cast<void>(scene.tiers.find(name));
    } else if (dice < 92) {
      scene.order(tag(word));
      for (const auto& [carrier, number] : std::exchange(carriers[word], {})) {
        gone.insert(mark_of(carrier, number));
      }
      if (random() % 2 == 0) {
        // It ends in the middle of it.
        erase_owed(*scene.book, *scene.tiers.store, [](const Result<Erased>&) {});
        for (unsigned i = random() % 9; i > 0; --i) scene.tiers.store->disk()->step();
        const bool is_crash = random() % 2 == 0;
        crashes += is_crash;
        scene.restart(is_crash);
      }
      REQUIRE(scene.erase());
      ++erasures;
      check_gone();
    } else if (dice < 97) {
      const bool is_crash = random() % 2 == 0;
      crashes += is_crash;
      scene.restart(is_crash);
      check_gone();
    } else {
      scene.write_others(5);
    }
  }
  CHECK(erasures > 5);
  CHECK(crashes > 2);
  CHECK(gone.size() > 20);
  CHECK(scene.tiers.count(DiskCount::misses_damaged) == 0);
}

TEST_CASE("A walk gives every byte of a segment that no needle accounts for") {
  FaultyDisk disk;
  LogScene store(disk, 4);
  store.start();
  for (int i = 0; i < 40; ++i) REQUIRE(store.put("h/" + std::to_string(i), 6000));
  REQUIRE(store.volume().flush());
  const std::uint64_t damaged_at = store.volume().file_offset(store.where("h/39").value()) + 3000;
  disk.flip_bit(kVolume, damaged_at, 3);
  std::set<std::string> forgotten;
  EraseWalk walk(
      store.volume(), [](const NeedleView& needle) { return needle.key_string() == "h/38"; },
      [&](const Key& key, const Location&) {
        return store.index.places.erase(DiskIndex::hash_of(key)) != 0;
      });
  while (!walk.is_done()) REQUIRE(walk.step());
  CHECK(walk.erased().copies == 2);  // and the damaged one
  CHECK(walk.erased().objects == 2);
  const std::string bytes = disk.content(kVolume);
  for (int i = 0; i < 40; ++i) {
    const std::string name = "h/" + std::to_string(i);
    const auto location = store.where(name);
    const bool is_alive = location && store.volume().plan(*location);
    INFO(name);
    CHECK((bytes.find(body_for(name, 6000).substr(1000, 64)) != std::string::npos) == is_alive);
    CHECK((store.get(name) != nullptr) == is_alive);
  }
  CHECK_FALSE(store.where("h/38"));
  EraseWalk again(
      store.volume(), [](const NeedleView&) { return false; },
      [](const Key&, const Location&) { return false; });
  while (!again.is_done()) REQUIRE(again.step());
  CHECK(again.erased().bytes == 0);
}
