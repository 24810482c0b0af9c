// The list of the hottest keys as text, as a file and as a ranking, and the order and pace of reading it
// back.
#include "cache/warm/hot_list.h"

#include <catch2/catch.hpp>
#include <random>

#include "base/hash.h"
#include "cache/vary.h"
#include "cache/warm/hot_file.h"
#include "cache/warm/restore.h"
#include "disk_tier_support.h"

using namespace vignette;
using namespace vignette::cache;
using namespace std::chrono_literals;

namespace {

std::vector<HotEntry> some_entries() {
  return {{9, 1000, HotKind::response, "a.test/x?q=1\nhttps\naccept-encoding:br,gzip"},
          {9, 2000, HotKind::vary_marker, "a.test/x?q=1\nhttps"},
          {3, 500, HotKind::manifest, "/films/a\\b.mp4\n@original=photos"},
          {0, 70, HotKind::response, "/c at.jpg\n@image=photos\nf=webp,w=640"}};
}

std::vector<HotEntry> first_entries(std::size_t count) {
  std::vector<HotEntry> entries = some_entries();
  entries.resize(count);
  return entries;
}

// The last line made right again for lines that were changed.
std::string signed_again(const std::string& lines, std::size_t count) {
  return lines + "end " + std::to_string(count) + " " + [&] {
    const std::uint64_t check = hash64(lines);
    std::string digits(16, '0');
    for (int i = 0; i < 16; ++i)
      digits[static_cast<std::size_t>(15 - i)] = "0123456789abcdef"[check >> 4 * i & 15];
    return digits;
  }() + "\n";
}

std::vector<std::string> names_of(const std::vector<HotEntry>& entries) {
  std::vector<std::string> names;
  for (const HotEntry& entry : entries) names.push_back(entry.key_string);
  return names;
}

StoreStats memory_with(std::uint64_t used, std::uint64_t budget) {
  StoreStats stats;
  stats.used_bytes = used;
  stats.budget_bytes = budget;
  return stats;
}

Lookup read_from_disk(std::size_t size) {
  return {.outcome = Lookup::Outcome::hit, .object = object_for("h/a", size), .from_disk = true};
}

}  // namespace

TEST_CASE("A hot list is read as it was written, and has one line a key") {
  const std::vector<HotEntry> entries = some_entries();
  const std::string text = write_hot_list(entries);
  CHECK(is_hot_list(text));
  CHECK(
      text.starts_with("vignette hot list 1\n"
                       "9 1000 o a.test/x?q=1\\nhttps\\naccept-encoding:br,gzip\n"
                       "9 2000 v a.test/x?q=1\\nhttps\n"
                       "3 500 m /films/a\\\\b.mp4\\n@original=photos\n"));
  const auto read = read_hot_list(text);
  REQUIRE(read);
  CHECK(*read == entries);
  CHECK(read_hot_list(write_hot_list({}))->empty());
}

TEST_CASE("Of a hot list that is cut short or has one bit wrong nothing is believed") {
  const std::string text = write_hot_list(some_entries());
  for (std::size_t length = 0; length < text.size(); ++length) {
    INFO(length);
    CHECK_FALSE(read_hot_list(text.substr(0, length)));
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    INFO(i);
    std::string damaged = text;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    CHECK_FALSE(read_hot_list(damaged));
  }
  CHECK_FALSE(read_hot_list(text + text));
  CHECK_FALSE(read_hot_list(text + "9 9 o h/a\n"));
}

TEST_CASE("Lines that no node writes are refused even under a right check") {
  const std::string title = "vignette hot list 1\n";
  REQUIRE(read_hot_list(signed_again(title + "1 2 o h/a\n", 1)));
  for (const char* line :
       {"1 2 o \n", "1 2 o\n", "1 2  h/a\n", "1 2 x h/a\n", "1 2 oo h/a\n", "-1 2 o h/a\n", "1 two o h/a\n",
        "\n", "1 99999999999999999999999 o h/a\n", "1 2 o h/a\\x\n", "1 2 o h/a\\\n"}) {
    INFO(line);
    CHECK_FALSE(read_hot_list(signed_again(title + line, 1)));
  }
  CHECK_FALSE(read_hot_list(signed_again(title + "1 2 o h/a\n", 2)));
  CHECK_FALSE(read_hot_list(signed_again(title + "1 2 o h/a\n", kMaxHotEntries + 1)));
  CHECK_FALSE(read_hot_list(signed_again("vignette hot list 2\n1 2 o h/a\n", 1)));
  CHECK_FALSE(
      read_hot_list(signed_again(title + "1 2 o " + std::string(kMaxHotKeyBytes + 1, 'k') + "\n", 1)));
  CHECK(read_hot_list(signed_again(title + "1 2 o " + std::string(kMaxHotKeyBytes, 'k') + "\n", 1)));
}

TEST_CASE("Keys of any bytes go through one line and back") {
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    std::string key(1 + random() % 40, ' ');
    for (char& c : key) c = "\n\\nab \t\xff"[random() % 8];
    const std::string line = escape_key(key);
    INFO(line);
    CHECK(line.find('\n') == line.npos);
    CHECK(unescape_key(line) == key);
  }
  CHECK_FALSE(unescape_key(""));
  CHECK_FALSE(unescape_key("a\nb"));
}

TEST_CASE("The list leaves the coldest out beyond its limit in bytes") {
  std::vector<HotEntry> entries(1200, {5, 1, HotKind::response, std::string(kMaxHotKeyBytes, 'k')});
  const std::string text = write_hot_list(entries);
  CHECK(text.size() <= kMaxHotListBytes);
  const auto read = read_hot_list(text);
  REQUIRE(read);
  CHECK(read->size() == kMaxHotListBytes / (kMaxHotKeyBytes + 7));
}

TEST_CASE("The ranking keeps the hottest, and of equally hot ones the smaller") {
  HotRanking ranking(3);
  ranking.offer(object_for("h/cold", 10), 1);
  ranking.offer(object_for("h/large", 5000), 4);
  ranking.offer(object_for("h/small", 50), 4);
  ranking.offer(object_for("h/hot", 9000), 7);
  ranking.offer(object_for("h/never", 1), 0);
  CHECK(names_of(ranking.take()) == std::vector<std::string>{"h/hot", "h/small", "h/large"});
  CHECK(ranking.take().empty());
  HotRanking none(0);
  none.offer(object_for("h/a", 1), 9);
  CHECK(none.take().empty());
}

TEST_CASE("The hottest keys of a store are those found most often, and purged ones are not among them") {
  ManualClock clock;
  Logger log(LogLevel::off);
  PurgeBook purges(clock);
  TieredStore store({.budget_bytes = 64 << 20, .purges = &purges}, {}, clock, log);
  for (int i = 0; i < 20; ++i) {
    const std::string name = "h/" + std::to_string(i);
    ObjectHead head = fresh_head();
    head.sequence = purges.sequence();
    store.insert(Object::complete(head, hash_key(name), name, "body"));
    for (int hit = 0; hit < 3 * i; ++hit) store.try_lookup(hash_key(name), name);
  }
  store.insert(make_vary_marker(hash_key("h/varied"), "h/varied", "accept", purges.sequence()));
  REQUIRE(purges.purge({.kind = PurgeKind::url, .name = "h/18", .origin = {}}, PurgeMode::hard));
  const std::vector<HotEntry> hot = hottest(store, 3);
  CHECK(names_of(hot) == std::vector<std::string>{"h/19", "h/17", "h/16"});
  CHECK(hot.front().hits == 57);
  const std::vector<HotEntry> all = hottest(store, kMaxHotEntries);
  CHECK(all.size() == 20);
  CHECK(std::ranges::count(all, HotKind::vary_marker, &HotEntry::kind) == 1);
}

TEST_CASE("A fresher head keeps the hits of what it replaces, an eviction ends them") {
  ManualClock clock;
  Logger log(LogLevel::off);
  TieredStore store({.budget_bytes = 64 << 20}, {}, clock, log);
  const ObjectRef old = object_for("h/a", 100);
  store.insert(old);
  for (int i = 0; i < 5; ++i) store.try_lookup(hash_key("h/a"), "h/a");
  REQUIRE(store.replace_head(*old, old->freshened(fresh_head())));
  CHECK(hottest(store, 1).front().hits == 5);
  store.erase(hash_key("h/a"), "h/a");
  store.insert(object_for("h/a", 100));
  CHECK(hottest(store, 1).front().hits == 0);
}

TEST_CASE("The file of the hot list is replaced as a whole, survives a crash, and none is an empty list") {
  FaultyDisk disk;
  CHECK(load_hot_file(disk)->empty());
  REQUIRE(save_hot_file(disk, some_entries()));
  REQUIRE(save_hot_file(disk, first_entries(2)));
  disk.crash();
  const auto read = load_hot_file(disk);
  REQUIRE(read);
  CHECK(read->size() == 2);
  CHECK_FALSE(disk.exists("hot.list.new"));
}

TEST_CASE("A hot list that could not be written, or not whole, leaves the one before") {
  using Op = FaultyDisk::Op;
  const Op op = GENERATE(Op::write, Op::sync);
  FaultyDisk disk;
  REQUIRE(save_hot_file(disk, some_entries()));
  disk.tear_writes(true);
  disk.fail(op, EIO);
  CHECK_FALSE(save_hot_file(disk, first_entries(1)));
  disk.heal();
  CHECK(load_hot_file(disk)->size() == some_entries().size());
}

TEST_CASE("A hot list that cannot be read, or is damaged, says so") {
  FaultyDisk disk;
  REQUIRE(save_hot_file(disk, some_entries()));
  disk.fail(FaultyDisk::Op::read, EIO);
  CHECK(load_hot_file(disk).error().starts_with("hot.list cannot be read ("));
  disk.heal();
  disk.flip_bit(std::string(kHotFile), 40, 3);
  CHECK(load_hot_file(disk).error() == "the hot list is damaged");
}

TEST_CASE("Reading back goes down the list, paced by the bytes that came") {
  ManualClock clock;
  clock.advance(1h);
  const std::vector<HotEntry> list = {{3, 10'000, HotKind::response, "h/a"},
                                      {2, 10'000, HotKind::response, "h/b"},
                                      {1, 10'000, HotKind::response, "h/c"}};
  Restore restore(list, 10'000);
  const StoreStats memory = memory_with(0, 64 << 20);
  Restore::Step step = restore.next(clock.now(), memory);
  REQUIRE(step.entry);
  CHECK(step.entry->key_string == "h/a");
  CHECK(step.at == clock.now());
  const Lookup read = read_from_disk(100'000);
  restore.note(read, clock.now());
  // What came takes over ten seconds at that pace, but for the tenth that may be caught up with.
  step = restore.next(clock.now(), memory);
  CHECK(step.entry->key_string == "h/b");
  const auto seconds = static_cast<double>(read.object->footprint()) / 10'000;
  const Duration due = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  CHECK(step.at == clock.now() - Restore::kCatchUp + due);
  // What is not there, or is in memory already, costs nothing.
  clock.advance(due);
  restore.note({}, clock.now());
  step = restore.next(clock.now(), memory);
  CHECK(step.entry->key_string == "h/c");
  CHECK(step.at == clock.now());
  restore.note({.outcome = Lookup::Outcome::hit, .object = object_for("h/c", 9)}, clock.now());
  CHECK(restore.next(clock.now(), memory).entry == nullptr);
  CHECK(restore.progress().looked_at == 3);
  CHECK(restore.progress().objects == 1);
  CHECK(restore.progress().bytes == read.object->footprint());
  CHECK_FALSE(restore.progress().is_full);
}

TEST_CASE("Time that was slept too long is caught up with only as far as a tenth of a second") {
  ManualClock clock;
  Restore restore(std::vector<HotEntry>(100, {1, 1000, HotKind::response, "h/a"}), 1'000'000);
  const StoreStats memory = memory_with(0, 64 << 20);
  clock.advance(1h);
  int at_once = 0;
  for (; restore.next(clock.now(), memory).at == clock.now(); ++at_once)
    restore.note(read_from_disk(20'000), clock.now());
  CHECK(at_once == 5);
}

TEST_CASE("Reading back ends before memory is full") {
  const std::vector<HotEntry> list = {{1, 1000, HotKind::response, "h/a"}};
  const std::uint64_t budget = 100'000;
  CHECK(Restore(list, 1).next({}, memory_with(89'000, budget)).entry);
  Restore full(list, 1);
  CHECK_FALSE(full.next({}, memory_with(89'001, budget)).entry);
  CHECK(full.progress().is_full);
  CHECK_FALSE(full.next({}, memory_with(0, budget)).entry);
  CHECK_FALSE(Restore(list, 1).next({}, memory_with(budget * 2, budget)).entry);
}

TEST_CASE("What is promoted comes into memory uncounted, and what is dead or replaced does not") {
  SteppedTiers tiers;
  tiers.start();
  tiers.settle();
  tiers.store->insert(object_for("h/a", 3000));
  tiers.restart();
  const StoreStats before = tiers.store->stats();
  std::optional<Lookup> found;
  const auto promote = [&](std::string_view name) {
    found.reset();
    tiers.store->promote(hash_key(name), name, tiers.executor,
                         [&](Lookup lookup) { found = std::move(lookup); });
    for (int i = 0; i < 10 && !found; ++i) {
      tiers.pool.run_all();
      tiers.executor.run();
    }
    return found.has_value();
  };
  REQUIRE(promote("h/a"));
  REQUIRE(found->object);
  CHECK(found->from_disk);
  CHECK(body_text(*found->object) == body_for("h/a", 3000));
  CHECK(tiers.store->peek(hash_key("h/a"), "h/a"));
  CHECK(tiers.store->stats().hits == before.hits);
  CHECK(tiers.store->stats().misses == before.misses);
  CHECK(hottest(*tiers.store, 1).front().hits == 0);
  REQUIRE(promote("h/a"));
  CHECK_FALSE(found->from_disk);
  REQUIRE(promote("h/none"));
  CHECK_FALSE(found->object);
}
