#include "cache/fill.h"

#include <array>
#include <catch2/catch.hpp>
#include <thread>

#include "cache/fill_table.h"
#include "cache/memory_store.h"
#include "cache/purge/identity.h"
#include "cache_support.h"

using namespace vignette;
using namespace vignette::cache;
using std::chrono::seconds;

namespace {

constexpr std::string_view kName = "h/photo";
const Key kKey = hash_key(kName);

struct Scene {
  ManualClock clock;
  MemoryStore store{{.budget_bytes = 16 << 20, .max_object_bytes = 1 << 20, .shards = 1}};
  FillTable table{store, clock};

  Joined join(const Object* known = nullptr) { return table.join_or_start(kKey, kName, clock.now(), known); }
};

ObjectHead sized_head(std::uint64_t length) {
  ObjectHead head = fresh_head();
  head.content_length = length;
  return head;
}

Slice piece(std::size_t size) { return Slice::copy(std::string(size, 'x')); }

}  // namespace

TEST_CASE("one fill serves all who join, and the next one hits") {
  Scene scene;
  Joined first = scene.join();
  Joined second = scene.join();
  REQUIRE(first.started());
  REQUIRE(second.collapsed());
  CHECK(second.fill == first.fill);
  CHECK(second.reader.state() == FillState::waiting_head);
  CHECK(first.writer.set_head(sized_head(5), Reason::none) == HeadVerdict::storing);
  REQUIRE(first.writer.append(Slice::copy("he")));
  CHECK(take_all(second.reader) == "he");
  REQUIRE(first.writer.append(Slice::copy("llo")));
  REQUIRE(first.writer.commit());
  CHECK(take_all(second.reader) == "llo");
  CHECK(take_all(first.reader) == "hello");
  CHECK(second.reader.at_end());
  CHECK(scene.store.try_lookup(kKey, kName).object);
  CHECK(scene.join().hit);
  CHECK(scene.table.stats().open == 0);
  CHECK(scene.table.stats().joined == 1);
}

TEST_CASE("what is stored with more tags than are kept is counted") {
  Scene scene;
  for (const std::string& tags : {std::string("red"), "red " + std::string(kManyTags)}) {
    const ObjectRef known = scene.store.peek(kKey, kName);
    Joined joined = scene.join(known.get());
    ObjectHead head = sized_head(1);
    head.tags = tags;
    REQUIRE(joined.writer.set_head(head, Reason::none) == HeadVerdict::storing);
    REQUIRE(joined.writer.append(piece(1)));
    REQUIRE(joined.writer.commit());
  }
  CHECK(scene.table.stats().tags_cut == 1);
}

TEST_CASE("a stale object does not answer for the fill that replaces it") {
  Scene scene;
  const ObjectRef stale = object_for(kName, 10);
  scene.store.insert(stale);
  CHECK(scene.join(stale.get()).started());
  CHECK(scene.join().hit == stale);
}

TEST_CASE("a small body of unknown length is stored in one block") {
  Scene scene;
  Joined joined = scene.join();
  joined.writer.set_head(fresh_head(), Reason::none);
  REQUIRE(joined.writer.append(Slice::copy("abc")));
  const Result<ObjectRef> object = joined.writer.commit();
  REQUIRE(object);
  CHECK((*object)->wire().view().ends_with("\r\n\r\nabc"));
  CHECK((*object)->content_length() == 3);
  CHECK(take_all(joined.reader) == "abc");
}

TEST_CASE("the store counts a committed object once and by its real size") {
  Scene scene;
  Joined joined = scene.join();
  joined.writer.set_head(sized_head(300'000), Reason::none);
  CHECK(scene.store.stats().used_bytes >= 300'000);  // reserved before the first byte
  for (int i = 0; i < 3; ++i) REQUIRE(joined.writer.append(piece(100'000)));
  REQUIRE(joined.writer.commit());
  CHECK(scene.store.stats().used_bytes == scene.store.stats().bytes);
  CHECK(scene.store.stats().used_bytes < 310'000);
}

TEST_CASE("a writer that is dropped wakes its waiters with an error") {
  Scene scene;
  HandExecutor executor;
  Joined first = scene.join();
  Joined waiter = scene.join();
  int calls = 0;
  const Subscription subscription = waiter.fill->subscribe(executor, [&] { ++calls; });
  first.writer = FillWriter();
  executor.run();
  CHECK(calls == 1);
  CHECK(waiter.reader.state() == FillState::failed);
  CHECK(waiter.fill->error().code == Code::cancelled);
  CHECK(scene.join().started());
}

TEST_CASE("a failure after bytes never looks like an end") {
  Scene scene;
  Joined joined = scene.join();
  joined.writer.set_head(fresh_head(), Reason::none);
  REQUIRE(joined.writer.append(piece(100)));
  joined.writer.fail({.code = Code::reset, .blame = Blame::origin});
  CHECK(take_all(joined.reader).size() == 100);
  CHECK_FALSE(joined.reader.at_end());
  CHECK(joined.reader.state() == FillState::failed);
  CHECK_FALSE(scene.store.peek(kKey, kName));
}

TEST_CASE("a body must be exactly as long as Content-Length said") {
  Scene scene;
  Joined shorter = scene.join();
  shorter.writer.set_head(sized_head(10), Reason::none);
  REQUIRE(shorter.writer.append(piece(9)));
  const Result<ObjectRef> committed = shorter.writer.commit();
  REQUIRE_FALSE(committed);
  CHECK(committed.error().code == Code::closed);
  CHECK(shorter.reader.state() == FillState::failed);
  Joined longer = scene.join();
  longer.writer.set_head(sized_head(10), Reason::none);
  CHECK(longer.writer.append(piece(11)).error().code == Code::limit);
  CHECK(longer.reader.state() == FillState::failed);
  CHECK(scene.table.stats().open == 0);
}

TEST_CASE("each subscriber is called once a batch and again after it ran") {
  Scene scene;
  HandExecutor executor;
  Joined joined = scene.join();
  int calls = 0;
  Subscription subscription = joined.fill->subscribe(executor, [&] { ++calls; });
  joined.writer.set_head(fresh_head(), Reason::none);
  for (int i = 0; i < 50; ++i) REQUIRE(joined.writer.append(piece(10)));
  CHECK(executor.waiting() == 1);
  executor.run();
  CHECK(calls == 1);
  REQUIRE(joined.writer.append(piece(10)));
  executor.run();
  CHECK(calls == 2);
  REQUIRE(joined.writer.append(piece(10)));
  subscription.reset();  // after the post, before it runs
  executor.run();
  CHECK(calls == 2);
}

TEST_CASE("a response that is not storable is for the starter alone") {
  Scene scene;
  Joined starter = scene.join();
  Joined other = scene.join();
  CHECK(starter.writer.set_head(sized_head(100), Reason::is_private) == HeadVerdict::passing);
  CHECK(other.reader.state() == FillState::refused);
  CHECK(starter.reader.state() == FillState::streaming);
  CHECK(starter.fill->reason() == Reason::is_private);
  REQUIRE(starter.writer.append(piece(100)));
  std::array<Slice, 4> slices;
  CHECK(other.reader.peek(slices) == 0);
  CHECK(take_all(starter.reader).size() == 100);
  REQUIRE(starter.writer.commit());
  CHECK(starter.reader.at_end());
  CHECK(other.reader.state() == FillState::refused);
  CHECK_FALSE(scene.store.peek(kKey, kName));
}

TEST_CASE("requests for a key known as not storable do not wait for each other") {
  Scene scene;
  scene.join().writer.set_head(sized_head(0), Reason::no_store);
  Joined one = scene.join();
  Joined two = scene.join();
  CHECK(one.started());
  CHECK(two.started());
  CHECK(scene.table.stats().passed == 2);
  scene.clock.advance(kPassMemory);
  CHECK(scene.join().started());
  CHECK(scene.table.stats().passed == 2);
}

TEST_CASE("a response that must be validated is stored but not handed to those who waited") {
  Scene scene;
  Joined starter = scene.join();
  Joined other = scene.join();
  ObjectHead head = sized_head(3);
  head.flags.no_cache = true;
  CHECK(starter.writer.set_head(head, Reason::none) == HeadVerdict::storing);
  CHECK(other.reader.state() == FillState::refused);
  REQUIRE(starter.writer.append(Slice::copy("abc")));
  REQUIRE(starter.writer.commit());
  CHECK(take_all(starter.reader) == "abc");
  CHECK(scene.store.peek(kKey, kName));
}

TEST_CASE("a body known to be too large is passed on, one that turns out so is paced from there") {
  Scene scene;
  Joined known = scene.join();
  CHECK(known.writer.set_head(sized_head((1 << 20) + 1), Reason::none) == HeadVerdict::passing);
  CHECK(known.fill->reason() == Reason::too_large);
  scene.clock.advance(kPassMemory);

  Joined grows = scene.join();
  Joined joiner = scene.join();
  CHECK(grows.writer.set_head(fresh_head(), Reason::none) == HeadVerdict::storing);
  for (int i = 0; i < 16; ++i) REQUIRE(grows.writer.append(piece(65'536)));
  CHECK_FALSE(grows.fill->paced());
  REQUIRE(grows.writer.append(piece(1)));
  CHECK(grows.fill->paced());
  CHECK(grows.fill->reason() == Reason::too_large);
  CHECK_FALSE(grows.fill->attach());
  CHECK(grows.writer.room() == 0);
  CHECK(take_all(grows.reader).size() == (1 << 20) + 1);
  CHECK(grows.writer.room() == 0);  // the joiner is slower
  CHECK(take_all(joiner.reader).size() == (1 << 20) + 1);
  CHECK(grows.writer.room() == kPacedWindow);
}

TEST_CASE("a paced fill holds a window, wakes its writer for room, and is over when its readers left") {
  Scene scene;
  HandExecutor executor;
  Joined joined = scene.join();
  int wakes = 0;
  const Subscription room = joined.writer.on_room(executor, [&] { ++wakes; });
  joined.writer.set_head(fresh_head(), Reason::no_store);
  std::uint64_t sent = 0;
  for (int round = 0; round < 20; ++round) {
    while (joined.writer.room() > 0) {
      REQUIRE(joined.writer.append(piece(16'384)));
      sent += 16'384;
    }
    CHECK(scene.store.stats().used_bytes < kPacedWindow + 128 * 1024);
    executor.run();
    const int before = wakes;
    joined.reader.advance(kPacedResume / 2);
    CHECK(executor.run() == 0);
    joined.reader.advance(kPacedResume / 2);
    executor.run();
    CHECK(wakes == before + 1);
  }
  CHECK(sent > 4 * kPacedWindow);
  CHECK_FALSE(joined.writer.abandoned());
  joined.reader.reset();
  executor.run();
  CHECK(joined.writer.abandoned());
  CHECK(wakes == 21);
}

TEST_CASE("the slowest reader of a paced fill can be cut, and the others go on") {
  Scene scene;
  Joined starter = scene.join();
  Joined slow = scene.join();
  starter.writer.set_head(fresh_head(), Reason::none);
  CHECK_FALSE(starter.writer.cut_slowest());
  for (int i = 0; i < 17; ++i) REQUIRE(starter.writer.append(piece(65'536)));
  CHECK(take_all(starter.reader).size() == 17 * 65'536);
  CHECK(starter.writer.room() == 0);
  CHECK(starter.writer.cut_slowest());
  CHECK(slow.reader.state() == FillState::cut);
  CHECK(slow.reader.available() == 0);
  CHECK(starter.reader.state() == FillState::streaming);
  CHECK(starter.writer.room() == kPacedWindow);
  std::array<Slice, 2> slices;
  CHECK(slow.reader.peek(slices) == 0);
}

TEST_CASE("a storable fill goes on without readers") {
  Scene scene;
  Joined joined = scene.join();
  joined.reader.reset();
  joined.writer.set_head(sized_head(3), Reason::none);
  CHECK_FALSE(joined.writer.abandoned());
  REQUIRE(joined.writer.append(Slice::copy("abc")));
  REQUIRE(joined.writer.commit());
  CHECK(scene.store.peek(kKey, kName));
}

TEST_CASE("a second attempt starts after five seconds without a head, a third never") {
  Scene scene;
  Joined first = scene.join();
  scene.clock.advance(kSecondAttemptAfter - std::chrono::milliseconds(1));
  Joined early = scene.join();
  CHECK(early.collapsed());
  scene.clock.advance(std::chrono::milliseconds(1));
  FillWriter second = early.fill->start_second(scene.clock.now(), early.reader);
  REQUIRE(second);
  CHECK(scene.join().collapsed());

  // The second answers first; the first hears that it lost.
  HandExecutor executor;
  int told = 0;
  const Subscription lost = first.writer.on_room(executor, [&] { ++told; });
  CHECK(second.set_head(sized_head(3), Reason::none) == HeadVerdict::storing);
  executor.run();
  CHECK(told == 1);
  CHECK(first.writer.lost());
  CHECK(first.writer.set_head(sized_head(4), Reason::none) == HeadVerdict::lost);
  first.writer = FillWriter();
  REQUIRE(second.append(Slice::copy("two")));
  REQUIRE(second.commit());
  CHECK(take_all(first.reader) == "two");
}

TEST_CASE("the fill fails only with its last attempt") {
  Scene scene;
  Joined first = scene.join();
  scene.clock.advance(kSecondAttemptAfter);
  Joined second = scene.join();
  REQUIRE(second.started());
  first.writer.fail({.code = Code::timeout, .blame = Blame::origin});
  CHECK(first.reader.state() == FillState::waiting_head);
  second.writer.fail({.code = Code::reset, .blame = Blame::origin});
  CHECK(first.reader.state() == FillState::failed);
  CHECK(first.fill->error().code == Code::reset);
}

TEST_CASE("a private answer to the second attempt belongs to who started that one") {
  Scene scene;
  Joined first = scene.join();
  scene.clock.advance(kSecondAttemptAfter);
  Joined second = scene.join();
  second.writer.set_head(sized_head(0), Reason::set_cookie);
  CHECK(first.reader.state() == FillState::refused);
  CHECK(second.reader.state() == FillState::streaming);
}

TEST_CASE(
    "who waited, began the second attempt and is answered by the first reads that answer, private or not") {
  Scene scene;
  Joined joined = scene.join();
  scene.clock.advance(kSecondAttemptAfter);
  FillWriter second = joined.fill->start_second(scene.clock.now(), joined.reader);
  REQUIRE(second);
  REQUIRE(joined.writer.set_head(sized_head(3), Reason::set_cookie) == HeadVerdict::passing);
  CHECK(second.set_head(sized_head(3), Reason::set_cookie) == HeadVerdict::lost);
  CHECK(joined.reader.state() == FillState::streaming);
  CHECK_FALSE(joined.writer.abandoned());
  REQUIRE(joined.writer.append(Slice::copy("one")));
  CHECK(take_all(joined.reader) == "one");
}

TEST_CASE("a 304 ends the fill with the freshened object, unless the old one was purged meanwhile") {
  Scene scene;
  const ObjectRef old = object_for(kName, 100);
  scene.store.insert(old);
  Joined joined = scene.join(old.get());
  const ObjectRef fresh = old->freshened(fresh_head("ETag: \"v2\"\r\n"));
  CHECK(joined.writer.complete_with(fresh, old.get()) == HeadVerdict::storing);
  CHECK(scene.store.peek(kKey, kName) == fresh);
  CHECK(joined.fill->reason() == Reason::none);
  CHECK(joined.reader.object() == fresh);
  CHECK(take_all(joined.reader) == body_for(kName, 100));

  Joined again = scene.join(fresh.get());
  scene.store.erase(kKey, kName);
  again.writer.complete_with(fresh->freshened(fresh_head()), fresh.get());
  CHECK_FALSE(scene.store.peek(kKey, kName));
  CHECK(again.fill->reason() == Reason::displaced);
  CHECK(take_all(again.reader) == body_for(kName, 100));
}

TEST_CASE("what was made elsewhere and the store does not take is said to be not stored") {
  ManualClock clock;
  MemoryStore store({.budget_bytes = 1 << 20, .max_object_bytes = 1'000, .shards = 1});
  FillTable table(store, clock);
  Joined joined = table.join_or_start(kKey, kName, clock.now());
  joined.writer.complete_with(object_for(kName, 1'001));
  CHECK_FALSE(store.peek(kKey, kName));
  CHECK(joined.fill->reason() == Reason::too_large);
}

TEST_CASE("without room in the store the body is passed on") {
  ManualClock clock;
  MemoryStore store({.budget_bytes = 1 << 20, .max_object_bytes = 900'000, .shards = 1});
  FillTable table(store, clock);
  const Reservation held = store.reserve(900'000);
  Joined joined = table.join_or_start(kKey, kName, clock.now());
  CHECK(joined.writer.set_head(sized_head(500'000), Reason::none) == HeadVerdict::passing);
  CHECK(joined.fill->reason() == Reason::no_room);
}

TEST_CASE("joiners on several threads get every byte") {
  Scene scene;
  constexpr std::size_t kSize = 700'000;
  const std::string text = body_for(kName, kSize);
  Joined starter = scene.join();
  std::array<std::string, 4> read;
  {
    std::vector<std::jthread> threads;
    for (std::string& out : read) {
      threads.emplace_back([&out, joined = scene.join()]() mutable {
        while (!joined.reader.at_end()) out += take_all(joined.reader);
      });
    }
    starter.writer.set_head(fresh_head(), Reason::none);
    for (std::size_t at = 0; at < kSize; at += 7'001) {
      REQUIRE(starter.writer.append(Slice::copy(std::string_view(text).substr(at, 7'001))));
    }
    REQUIRE(starter.writer.commit());
  }
  for (const std::string& out : read) CHECK(out == text);
}
