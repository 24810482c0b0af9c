// What the tiers and fills note in the book of misses, and that reports may look without leaving a trace.
#include <array>
#include <catch2/catch.hpp>
#include <string>

#include "cache/fill_table.h"
#include "cache/vary.h"
#include "disk_tier_support.h"

using namespace vignette;
using namespace vignette::cache;
using std::chrono::hours;
using std::chrono::seconds;

namespace {

constexpr std::string_view kName = "h/a";

std::string name_of(int number) { return "h/" + std::to_string(number); }

struct Tiers : SteppedTiers {
  explicit Tiers(bool has_disk = false) : SteppedTiers(1 << 20) {
    memory.purges = &book;
    if (!has_disk) disk.disks.clear();
    start();
    if (has_disk) settle();
  }
  ~Tiers() { store.reset(); }  // before the book
  Tiers(const Tiers&) = delete;
  Tiers& operator=(const Tiers&) = delete;
  Departure last(std::string_view name) const { return store->misses()->last(hash_key(name)); }
  void put(std::string_view name, std::size_t size, std::string_view tags = "") {
    ObjectHead head = fresh_head();
    head.tags = tags;
    head.sequence = book.sequence();
    store->insert(Object::complete(head, hash_key(name), name, body_for(name, size)));
    if (store->disk()) settle();
  }
  // Until memory no longer has it.
  void push_out(std::string_view name) {
    for (int i = 0; store->peek(hash_key(name), name); ++i) {
      REQUIRE(i < 1000);
      put("filler/" + std::to_string(i), 50'000);
    }
  }
  bool is_on_disk(std::string_view name) const {
    return store->residence(hash_key(name), name).disk->is_there;
  }

  PurgeBook book{clock};
};

}  // namespace

TEST_CASE("what memory lets go of without a disk is noted as evicted, with the time") {
  Tiers tiers;
  tiers.put(kName, 50'000);
  tiers.clock.advance(seconds(5));
  CHECK(tiers.last(kName).cause == Departed::unknown);
  tiers.push_out(kName);
  const Departure departure = tiers.last(kName);
  CHECK(departure.cause == Departed::evicted);
  CHECK(departure.at == tiers.clock.wall());
  CHECK_FALSE(departure.was_stale);
  CHECK(departure.not_on_disk == DiskRefusal::none);
}

TEST_CASE("what was stale when it was evicted says so") {
  Tiers tiers;
  tiers.put(kName, 50'000);
  tiers.clock.advance(hours(2));
  tiers.push_out(kName);
  CHECK(tiers.last(kName).cause == Departed::evicted);
  CHECK(tiers.last(kName).was_stale);
}

TEST_CASE("what a disk still has did not leave") {
  Tiers tiers(true);
  tiers.put(kName, 20'000);
  tiers.push_out(kName);
  CHECK(tiers.is_on_disk(kName));
  CHECK(tiers.last(kName).cause == Departed::unknown);
}

TEST_CASE("an evicted object that no disk took says why not") {
  Tiers tiers(true);
  tiers.put(kName, 100'000);  // a quarter of a segment is 64 KiB
  tiers.push_out(kName);
  CHECK(tiers.last(kName).cause == Departed::evicted);
  CHECK(tiers.last(kName).not_on_disk == DiskRefusal::too_large);
}

TEST_CASE("once the disk is full, what was asked for once is not admitted, and the oldest is reclaimed") {
  Tiers tiers(true);
  int number = 0;
  while (tiers.count(DiskCount::refused_once) == 0) {
    REQUIRE(number < 2000);
    tiers.put(name_of(number++), 50'000);
  }
  const std::string refused = name_of(number - 1);
  const ObjectRef resident = tiers.store->peek(hash_key(refused), refused);
  REQUIRE(resident);
  CHECK(resident->disk_refusal() == DiskRefusal::once);
  tiers.push_out(refused);
  CHECK(tiers.last(refused).cause == Departed::evicted);
  CHECK(tiers.last(refused).not_on_disk == DiskRefusal::once);

  for (int i = 0; tiers.last(name_of(0)).cause == Departed::unknown; ++i) {
    REQUIRE(i < 2000);
    const std::string again = "again/" + std::to_string(i);
    tiers.put(again, 50'000);
    tiers.find(again);
    tiers.settle();
  }
  CHECK(tiers.last(name_of(0)).cause == Departed::reclaimed);
  CHECK_FALSE(tiers.is_on_disk(name_of(0)));
}

TEST_CASE("what is fetched or validated again after its lifetime is noted as expired, when that ended") {
  Tiers tiers;
  tiers.put(kName, 100);
  const WallTime stored = tiers.clock.wall();
  tiers.clock.advance(hours(2));
  SECTION("fetched again") { tiers.put(kName, 200); }
  SECTION("validated") {
    const ObjectRef old = tiers.store->peek(hash_key(kName), kName);
    CHECK(tiers.store->replace_head(*old, old->freshened(fresh_head())));
  }
  CHECK(tiers.last(kName).cause == Departed::expired);
  CHECK(tiers.last(kName).at == stored + hours(1));
}

TEST_CASE("what is fetched again while it is fresh was replaced") {
  Tiers tiers;
  tiers.put(kName, 100);
  tiers.clock.advance(seconds(9));
  tiers.put(kName, 200);
  CHECK(tiers.last(kName).cause == Departed::replaced);
  CHECK(tiers.last(kName).at == tiers.clock.wall());
}

TEST_CASE("a purge that is found out is noted by what named the object, and when that was") {
  const bool has_disk = GENERATE(false, true);
  CAPTURE(has_disk);
  Tiers tiers(has_disk);
  tiers.put(kName, 20'000, "red");
  if (has_disk) tiers.push_out(kName);
  tiers.clock.advance(seconds(3));
  const auto receipt =
      tiers.book.purge({.kind = PurgeKind::tag, .name = "red", .origin = {}}, PurgeMode::hard);
  REQUIRE(receipt);
  tiers.clock.advance(seconds(60));
  CHECK_FALSE(tiers.find(kName));
  CHECK(tiers.last(kName).cause == Departed::purged);
  CHECK(tiers.last(kName).purged_by == PurgedBy::tag);
  CHECK(tiers.last(kName).at == receipt->at);
}

TEST_CASE("the book of purges tells which purge it goes by") {
  ManualClock clock;
  PurgeBook book(clock);
  const std::string tags = "red " + origin_tag("app");
  const std::uint64_t before = book.sequence();
  const auto purge = [&](PurgeTarget target, PurgeMode mode) {
    clock.advance(seconds(10));
    return book.purge(target, mode)->sequence;
  };
  const auto cause = [&] { return book.cause_of(before, "h/a", tags); };
  CHECK_FALSE(cause());
  purge({.kind = PurgeKind::tag, .name = "blue", .origin = {}}, PurgeMode::hard);
  CHECK_FALSE(cause());
  const std::uint64_t soft = purge({.kind = PurgeKind::url, .name = "h/a", .origin = {}}, PurgeMode::soft);
  CHECK(cause()->by == PurgedBy::url);
  CHECK(cause()->mode == PurgeMode::soft);
  CHECK(cause()->sequence == soft);
  CHECK(cause()->at == clock.wall());
  const std::uint64_t hard = purge({.kind = PurgeKind::tag, .name = "red", .origin = {}}, PurgeMode::hard);
  const WallTime hard_at = clock.wall();
  purge({.kind = PurgeKind::everything, .name = {}, .origin = {}}, PurgeMode::soft);
  CHECK(cause()->by == PurgedBy::tag);
  CHECK(cause()->name == "red");
  CHECK(cause()->sequence == hard);
  CHECK(cause()->at == hard_at);
  purge({.kind = PurgeKind::prefix, .name = "h/", .origin = {}}, PurgeMode::hard);
  CHECK(cause()->by == PurgedBy::prefix);
  purge({.kind = PurgeKind::tag, .name = origin_tag("app"), .origin = {}}, PurgeMode::hard);
  CHECK(cause()->by == PurgedBy::origin);
  CHECK(cause()->name == "app");
  purge({.kind = PurgeKind::everything, .name = {}, .origin = {}}, PurgeMode::hard);
  CHECK(cause()->by == PurgedBy::everything);
  CHECK_FALSE(book.cause_of(book.sequence(), "h/a", tags));
}

TEST_CASE("what the node erases was dropped") {
  Tiers tiers(GENERATE(false, true));
  tiers.put(kName, 100);
  CHECK(tiers.store->erase(hash_key(kName), kName));
  CHECK(tiers.last(kName).cause == Departed::dropped);
  CHECK_FALSE(tiers.store->erase(hash_key("h/b"), "h/b"));
  CHECK(tiers.last("h/b").cause == Departed::unknown);
}

TEST_CASE("a Vary marker in place of another one is no departure") {
  Tiers tiers;
  tiers.store->insert(make_vary_marker(hash_key(kName), kName, "accept"));
  tiers.store->insert(make_vary_marker(hash_key(kName), kName, "accept"));
  CHECK(tiers.last(kName).cause == Departed::unknown);
}

TEST_CASE("a fill that leaves nothing behind says why, but not when it was only dropped") {
  Tiers tiers;
  FillTable table(*tiers.store, tiers.clock);
  const Key key = hash_key(kName);
  Joined joined = table.join_or_start(key, kName, tiers.clock.now());
  SECTION("not storable") {
    joined.writer.set_head(fresh_head(), Reason::is_private);
    CHECK(tiers.last(kName).cause == Departed::not_stored);
    CHECK(tiers.last(kName).reason == Reason::is_private);
    CHECK(table.passes_for(key, tiers.clock.now()) == kPassMemory);
    tiers.clock.advance(seconds(50));
    CHECK(table.passes_for(key, tiers.clock.now()) == kPassMemory - seconds(50));
    tiers.clock.advance(kPassMemory);
    CHECK(table.passes_for(key, tiers.clock.now()) == Duration::zero());
  }
  SECTION("failed") {
    joined.writer.fail({.code = Code::timeout, .blame = Blame::origin, .where = "test"});
    CHECK(tiers.last(kName).cause == Departed::failed);
    CHECK(tiers.last(kName).code == Code::timeout);
  }
  SECTION("purged on the way") {
    joined.writer.set_head(fresh_head(), Reason::none);
    REQUIRE(tiers.book.purge({.kind = PurgeKind::url, .name = std::string(kName), .origin = {}},
                             PurgeMode::hard));
    REQUIRE(joined.writer.commit());
    CHECK(tiers.last(kName).cause == Departed::not_stored);
    CHECK(tiers.last(kName).reason == Reason::purged);
  }
  SECTION("dropped") {
    joined.writer.reset();
    CHECK(tiers.last(kName).cause == Departed::unknown);
  }
}

TEST_CASE("reports find fills that are under way, and the variants of a URL") {
  Tiers tiers;
  FillTable table(*tiers.store, tiers.clock);
  const Key key = hash_key(kName);
  CHECK_FALSE(table.find(key, kName));
  Joined joined = table.join_or_start(key, kName, tiers.clock.now());
  CHECK(table.find(key, kName) == joined.fill);
  CHECK_FALSE(table.find(key, "h/b"));
  ObjectHead head = fresh_head();
  head.vary = "accept-language";
  head.vary_values = "accept-language:de";
  joined.writer.set_head(head, Reason::none);
  REQUIRE(joined.writer.commit());
  CHECK_FALSE(table.find(key, kName));
  CHECK(table.variants(kName) == std::vector<std::string>{"accept-language:de"});
  CHECK(table.variants("h/b").empty());
}

TEST_CASE("reports look at every tier without leaving a trace") {
  Tiers tiers(true);
  tiers.put(kName, 20'000);
  tiers.put("h/b", 20'000);
  tiers.push_out(kName);
  const Key key = hash_key(kName);
  const StoreStats stats = tiers.store->stats();
  const auto counts = tiers.store->disk_stats().total().counts;
  const Residence residence = tiers.store->residence(key, kName);
  CHECK_FALSE(residence.in_memory);
  REQUIRE(residence.disk);
  CHECK(residence.disk->is_there);
  CHECK_FALSE(residence.disk->is_queued);
  CHECK(residence.disk->path == "a");
  const ObjectRef inspected = tiers.store->inspect(key, kName);
  REQUIRE(inspected);
  CHECK(body_text(*inspected) == body_for(kName, 20'000));
  CHECK_FALSE(tiers.store->inspect(key, "h/other"));
  CHECK_FALSE(tiers.store->peek(key, kName));
  const StoreStats after = tiers.store->stats();
  CHECK(after.hits == stats.hits);
  CHECK(after.misses == stats.misses);
  CHECK(after.objects == stats.objects);
  CHECK(tiers.store->disk_stats().total().counts == counts);
}

TEST_CASE("a purged object is shown to reports, wherever it lies") {
  const bool has_disk = GENERATE(false, true);
  Tiers tiers(has_disk);
  tiers.put(kName, 20'000, "red");
  if (has_disk) tiers.push_out(kName);
  REQUIRE(tiers.book.purge({.kind = PurgeKind::tag, .name = "red", .origin = {}}, PurgeMode::hard));
  const ObjectRef inspected = tiers.store->inspect(hash_key(kName), kName);
  REQUIRE(inspected);
  CHECK(tiers.book.judge(*inspected) == Verdict::dead);
  CHECK_FALSE(tiers.store->peek(hash_key(kName), kName));
}
