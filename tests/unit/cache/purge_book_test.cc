// The book of purges: what each kind of purge takes, and what it costs.
#include "cache/purge/purge_book.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cache/freshness.h"
#include "cache/purge/identity.h"
#include "purge_support.h"

namespace vignette::cache {
namespace {

using std::chrono::seconds;

struct Scene {
  ManualClock clock;
  PurgeBook book{clock};
  void purge(const PurgeTarget& target, PurgeMode mode = PurgeMode::hard) {
    REQUIRE(book.purge(target, mode));
  }
};

}  // namespace

TEST_CASE("a purged URL takes every variant of it that began before and nothing else") {
  Scene scene;
  const ObjectRef page = stored(scene.book, "example.com/a?x\nhttps");
  const ObjectRef variant = stored(scene.book, "example.com/a?x\nhttps\naccept-encoding:gzip");
  const ObjectRef other = stored(scene.book, "example.com/a");
  scene.purge(url("example.com/a?x\nhttp"));
  CHECK(scene.book.judge(*page) == Verdict::dead);
  CHECK(scene.book.judge(*variant) == Verdict::dead);
  CHECK(scene.book.judge(*other) == Verdict::live);
  CHECK(scene.book.judge(*stored(scene.book, "example.com/a?x\nhttps")) == Verdict::live);
}

TEST_CASE("a purged tag takes what carries it as a whole word") {
  Scene scene;
  const ObjectRef both = stored(scene.book, "h/1", "red blue");
  const ObjectRef longer = stored(scene.book, "h/2", "redder");
  const ObjectRef none = stored(scene.book, "h/3");
  scene.purge(tag("red"));
  CHECK(scene.book.judge(*both) == Verdict::dead);
  CHECK(scene.book.judge(*longer) == Verdict::live);
  CHECK(scene.book.judge(*none) == Verdict::live);
}

TEST_CASE("a tag and a URL of the same text are two names") {
  Scene scene;
  const ObjectRef object = stored(scene.book, "h/1", "h/2");
  scene.purge(url("h/2"));
  CHECK(scene.book.judge(*object) == Verdict::live);
  scene.purge(tag("h/1"));
  CHECK(scene.book.judge(*object) == Verdict::live);
}

TEST_CASE("prefixes nest, and one of an origin takes that origin's alone") {
  Scene scene;
  const ObjectRef deep = stored(scene.book, "h/a/b/c", origin_tag("photos"));
  const ObjectRef beside = stored(scene.book, "h/a/bx", origin_tag("app"));
  const ObjectRef outside = stored(scene.book, "h/b", origin_tag("app"));
  scene.purge(prefix("h/", "docs"));
  scene.purge(prefix("h/a/b/c/d"));
  CHECK(scene.book.judge(*deep) == Verdict::live);
  scene.purge(prefix("h/a/", "photos"));
  CHECK(scene.book.judge(*deep) == Verdict::dead);
  CHECK(scene.book.judge(*beside) == Verdict::live);
  scene.purge(prefix("h/a/b"));
  CHECK(scene.book.judge(*beside) == Verdict::dead);
  CHECK(scene.book.judge(*outside) == Verdict::live);
}

TEST_CASE("a lookup among prefixes gives what a scan of all of them gives") {
  std::uint64_t state = 7;
  const auto text = [&state](std::size_t longest) {
    std::string made;
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    for (std::size_t i = 0, size = 1 + (state >> 33) % longest; i < size; ++i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      made += static_cast<char>('a' + (state >> 40) % 3);
    }
    return made;
  };
  PrefixEpochs set;
  std::vector<std::pair<std::string, PurgeEpoch>> all;
  for (std::uint64_t epoch = 1; epoch <= 300; ++epoch) {
    const PurgeEpoch given = epoch % 3 ? PurgeEpoch{.hard = epoch} : PurgeEpoch{.soft = epoch};
    all.emplace_back(text(6), given);
    set.raise(all.back().first, given);
    set.link();
    const std::string asked = text(8);
    PurgeEpoch expected;
    for (const auto& [name, value] : all) {
      if (asked.starts_with(name)) expected.raise(value);
    }
    const PurgeEpoch found = set.find(asked);
    REQUIRE(found.hard == expected.hard);
    REQUIRE(found.soft == expected.soft);
  }
}

TEST_CASE("what has more tags than are kept goes with a purge by any tag or group, and by nothing else") {
  Scene scene;
  const std::string many = "red " + std::string(kManyTags);
  const auto is_dead = [&](const PurgeTarget& target) {
    const ObjectRef object = stored(scene.book, "h/1", many);
    scene.purge(target);
    return scene.book.judge(*object) == Verdict::dead;
  };
  CHECK(is_dead(tag("blue")));
  CHECK(is_dead(tag(group_tag("h/1", "all"))));
  CHECK_FALSE(is_dead(url("h/2")));
  CHECK_FALSE(is_dead(tag(origin_tag("photos"))));
  CHECK_FALSE(is_dead(tag(self_tag("h/2"))));
  CHECK_FALSE(is_dead(prefix("x/")));
  const ObjectRef few = stored(scene.book, "h/1", "red");
  scene.purge(tag("blue"));
  CHECK(scene.book.judge(*few) == Verdict::live);
}

TEST_CASE("a purge of everything takes all, and frees the names that were remembered") {
  Scene scene;
  scene.purge(tag("red"));
  scene.purge(prefix("h/"));
  const ObjectRef object = stored(scene.book, "x/1");
  scene.purge(everything());
  CHECK(scene.book.judge(*object) == Verdict::dead);
  CHECK(scene.book.stats().epochs == 0);
  CHECK(scene.book.stats().prefixes == 0);
  CHECK(scene.book.judge(*stored(scene.book, "x/1")) == Verdict::live);
}

TEST_CASE("a soft purge ends the lifetime when it happens, and a hard one afterwards still kills") {
  Scene scene;
  ObjectHead head = fresh_head();
  head.sequence = scene.book.sequence();
  head.stale_while_revalidate = seconds(60);
  head.stale_if_error = seconds(600);
  head.response_time = head.request_time = scene.clock.wall();
  const ObjectRef object = Object::complete(head, hash_key("h/1"), "h/1", "bytes");
  CHECK(decide_serve(*object, scene.clock.wall()).serve == Serve::fresh);
  scene.purge(url("h/1"), PurgeMode::soft);
  REQUIRE(scene.book.judge(*object) == Verdict::stale);
  CHECK(scene.book.judge(*object) == Verdict::stale);
  CHECK(decide_serve(*object, scene.clock.wall()).serve == Serve::stale_while_revalidate);
  scene.clock.advance(seconds(61));
  CHECK(decide_serve(*object, scene.clock.wall()).serve == Serve::stale_if_error);
  scene.purge(url("h/1"), PurgeMode::soft);
  REQUIRE(scene.book.judge(*object) == Verdict::stale);
  CHECK(decide_serve(*object, scene.clock.wall()).serve == Serve::stale_if_error);
  scene.clock.advance(seconds(600));
  CHECK(decide_serve(*object, scene.clock.wall()).serve == Serve::must_revalidate);
  scene.purge(tag("unrelated"));
  CHECK(scene.book.judge(*object) == Verdict::stale);
  scene.purge(url("h/1"));
  CHECK(scene.book.judge(*object) == Verdict::dead);
}

TEST_CASE("a verdict is remembered until the next purge") {
  Scene scene;
  const ObjectRef object = stored(scene.book, "h/1");
  CHECK(object->judged_at() == scene.book.sequence());
  scene.purge(tag("other"));
  CHECK(object->judged_at() != scene.book.sequence());
  CHECK(scene.book.judge(*object) == Verdict::live);
  CHECK(object->judged_at() == scene.book.sequence());
}

TEST_CASE("an object of a newer number than the book's is dead: its purges are not known") {
  Scene scene;
  ObjectHead head = fresh_head();
  head.sequence = scene.book.sequence() + 5;
  CHECK(scene.book.judge(*Object::complete(head, hash_key("h/1"), "h/1", "")) == Verdict::dead);
  CHECK(scene.book.judge(head.sequence, "h/1", "") == Verdict::dead);
}

TEST_CASE("many targets are one purge, and wrong ones none") {
  Scene scene;
  const std::uint64_t before = scene.book.sequence();
  const ObjectRef object = stored(scene.book, "h/1", "red");
  std::vector<PurgeTarget> targets{url("h/9"), tag("red")};
  REQUIRE(scene.book.purge(targets, PurgeMode::hard));
  CHECK(scene.book.sequence() == before + 1);
  CHECK(scene.book.judge(*object) == Verdict::dead);
  targets.push_back(url(std::string(PurgeBook::kMaxNameBytes + 1, 'x')));
  CHECK(scene.book.purge(targets, PurgeMode::hard).error().code == Code::limit);
  targets.assign(PurgeBook::kMaxTargets + 1, tag("x"));
  CHECK(scene.book.purge(targets, PurgeMode::hard).error().code == Code::limit);
  CHECK(scene.book.purge(std::span<const PurgeTarget>(), PurgeMode::hard).error().code == Code::limit);
  CHECK(scene.book.sequence() == before + 1);
}

TEST_CASE("a full book refuses further names, takes known ones, and everything empties it") {
  ManualClock clock;
  PurgeBook book(clock, {.epochs = 3, .prefixes = 1});  // two tags, and what has too many of them
  REQUIRE(book.purge(tag("a"), PurgeMode::hard));
  REQUIRE(book.purge(url("h/b"), PurgeMode::hard));
  CHECK(book.purge(tag("c"), PurgeMode::hard).error().code == Code::exhausted);
  CHECK(book.purge(tag("a"), PurgeMode::hard));
  REQUIRE(book.purge(prefix("h/"), PurgeMode::hard));
  CHECK(book.purge(prefix("h/x"), PurgeMode::hard).error().code == Code::exhausted);
  REQUIRE(book.purge(everything(), PurgeMode::hard));
  CHECK(book.purge(tag("c"), PurgeMode::hard));
}

TEST_CASE("a full book forgets what nothing alive precedes, and what was on its way is dead") {
  ManualClock clock;
  PurgeBook book(clock, {.epochs = 3, .prefixes = 1});
  const ObjectRef in_flight = stored(book, "h/z");
  REQUIRE(book.purge(tag("a"), PurgeMode::hard));
  const ObjectRef oldest = stored(book, "h/y", "b");
  REQUIRE(book.purge(tag("b"), PurgeMode::hard));
  std::uint64_t asked = 0;
  book.set_oldest_alive([&] {
    ++asked;
    return oldest->sequence();
  });
  REQUIRE(book.purge(tag("c"), PurgeMode::hard));
  CHECK(asked == 1);
  CHECK(book.stats().epochs == 3);
  CHECK(book.judge(*oldest) == Verdict::dead);
  CHECK(book.judge(*in_flight) == Verdict::dead);
  CHECK(book.judge(*stored(book, "h/x", "a")) == Verdict::live);
}

TEST_CASE(
    "a full book that nothing can be forgotten of asks for the oldest object every ten seconds at most") {
  ManualClock clock;
  PurgeBook book(clock, {.epochs = 2, .prefixes = 1});
  const ObjectRef oldest = stored(book, "h/y");
  std::uint64_t asked = 0;
  book.set_oldest_alive([&] {
    ++asked;
    return oldest->sequence();
  });
  REQUIRE(book.purge(tag("a"), PurgeMode::hard));
  for (int i = 0; i < 100; ++i) CHECK(book.purge(tag("b"), PurgeMode::hard).error().code == Code::exhausted);
  CHECK(asked == 1);
  CHECK(book.stats().refused == 100);
  clock.advance(PurgeBook::kAskOldestEvery);
  CHECK_FALSE(book.purge(tag("b"), PurgeMode::hard));
  CHECK(asked == 2);
}

TEST_CASE(
    "an invalidation is taken by a full book: the older half of the names gives way, and what is older") {
  ManualClock clock;
  PurgeBook book(clock, {.epochs = 4, .prefixes = 1});
  const ObjectRef oldest = stored(book, "h/old");
  for (const char* name : {"h/a", "h/b", "h/c", "h/d"}) REQUIRE(book.purge(url(name), PurgeMode::hard));
  const ObjectRef target = stored(book, "h/e");
  const ObjectRef newest = stored(book, "h/new");
  const PurgeTarget e = url("h/e");
  CHECK(book.purge(e, PurgeMode::hard).error().code == Code::exhausted);
  REQUIRE(book.purge(std::span(&e, 1), PurgeMode::hard, PurgeBook::Durability::written));
  CHECK(book.judge(*target) == Verdict::dead);
  CHECK(book.judge(*oldest) == Verdict::dead);
  CHECK(book.judge(*newest) == Verdict::live);
  CHECK(book.stats().epochs < 4);
  CHECK(book.stats().refused == 1);
  const std::vector<PurgeTarget> four{url("h/1"), url("h/2"), url("h/3"), url("h/4")};
  REQUIRE(book.purge(four, PurgeMode::hard, PurgeBook::Durability::written));
  CHECK(book.stats().epochs == 4);
}

TEST_CASE("purges that make the tables grow lose no name, and raise those that are known") {
  Scene scene;
  constexpr std::size_t kEach = 300;
  for (std::size_t round = 0; round < 20; ++round) {
    std::vector<PurgeTarget> targets{tag("again"), prefix("p/again")};
    for (std::size_t i = 0; i < kEach; ++i) {
      targets.push_back(tag("t" + std::to_string(round * kEach + i)));
      if (i % 4 == 0) targets.push_back(prefix("p/" + std::to_string(round * kEach + i) + "/"));
    }
    const ObjectRef tagged = stored(scene.book, "h/1", "again");
    const ObjectRef below = stored(scene.book, "p/again/x");
    REQUIRE(scene.book.purge(targets, PurgeMode::hard));
    CHECK(scene.book.judge(*tagged) == Verdict::dead);
    CHECK(scene.book.judge(*below) == Verdict::dead);
  }
  CHECK(scene.book.stats().epochs == 20 * kEach + 2);  // "again", and what has too many tags
  CHECK(scene.book.stats().prefixes == 20 * kEach / 4 + 1);
  std::size_t dead = 0;
  for (std::size_t i = 0; i < 20 * kEach; ++i) {
    dead += scene.book.death_of("h/1", "t" + std::to_string(i)) != 0;
    if (i % 4 == 0) dead += scene.book.death_of("p/" + std::to_string(i) + "/x", "") != 0;
  }
  CHECK(dead == 20 * kEach + 20 * kEach / 4);
}
TEST_CASE("too many owed names are refused like too many names, and everything takes their place") {
  ManualClock clock;
  PurgeBook book(clock, {.epochs = 2, .prefixes = 1});
  book.set_oldest_alive([&] { return book.sequence(); });
  REQUIRE(book.purge(url("h/a"), PurgeMode::erase));
  REQUIRE(book.purge(url("h/b"), PurgeMode::erase));
  CHECK(book.purge(url("h/c"), PurgeMode::erase).error().code == Code::exhausted);
  REQUIRE(book.purge(url("h/c"), PurgeMode::hard));
  REQUIRE(book.purge(everything(), PurgeMode::erase));
  CHECK(book.purge(url("h/c"), PurgeMode::erase));
}

}  // namespace vignette::cache
