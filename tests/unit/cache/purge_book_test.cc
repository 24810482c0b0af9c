// The book of purges: what each kind of purge takes, what it costs, what survives in its journal.
#include "cache/purge/purge_book.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cache/freshness.h"
#include "cache/purge/identity.h"
#include "cache/purge/purge_journal.h"
#include "cache_support.h"

namespace vignette::cache {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

class Directory {
 public:
  Directory() { REQUIRE(::mkdtemp(path_.data())); }
  ~Directory() { fs::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  const std::string& path() const { return path_; }
  std::string journal() const { return path_ + "/" + std::string(PurgeJournal::kName); }

 private:
  std::string path_ = (fs::temp_directory_path() / "vignette-purge-XXXXXX").string();
};

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

ObjectRef stored(const PurgeBook& book, std::string_view key_string, std::string_view tags = "") {
  ObjectHead head = fresh_head();
  head.sequence = book.sequence();
  head.tags = tags;
  return Object::complete(head, hash_key(key_string), key_string, "bytes");
}

PurgeTarget url(std::string key_string) {
  return {.kind = PurgeKind::url, .name = std::move(key_string), .origin = {}};
}
PurgeTarget tag(std::string word) { return {.kind = PurgeKind::tag, .name = std::move(word), .origin = {}}; }
PurgeTarget prefix(std::string text, std::string origin = "") {
  return {.kind = PurgeKind::prefix, .name = std::move(text), .origin = std::move(origin)};
}
PurgeTarget everything() { return {}; }

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

TEST_CASE("a new journal numbers from the clock's microseconds on") {
  const Directory directory;
  ManualClock clock(WallTime(seconds(1'800'000'000)));
  clock.advance(std::chrono::microseconds(17));
  std::string report;
  PurgeBook book(clock);
  REQUIRE(book.open_journal(directory.path(), report));
  CHECK(book.sequence() == 1'800'000'000'000'017);
}

TEST_CASE("purges and the sequence survive in the journal") {
  const Directory directory;
  ManualClock clock;
  std::string report;
  std::uint64_t sequence = 0;
  ObjectRef object, tagged, nested, soft;
  {
    PurgeBook book(clock);
    REQUIRE(book.open_journal(directory.path(), report));
    object = stored(book, "h/1");
    tagged = stored(book, "h/2", "red");
    nested = stored(book, "h/a/b", origin_tag("photos"));
    soft = stored(book, "h/3");
    REQUIRE(book.purge(url("h/1"), PurgeMode::hard));
    REQUIRE(book.purge(tag("red"), PurgeMode::hard));
    REQUIRE(book.purge(prefix("h/a", "photos"), PurgeMode::hard));
    REQUIRE(book.purge(url("h/3"), PurgeMode::soft));
    sequence = book.sequence();
  }
  PurgeBook book(clock);
  REQUIRE(book.open_journal(directory.path(), report));
  CHECK(report.empty());
  CHECK(book.sequence() == sequence);
  CHECK(book.judge(*object) == Verdict::dead);
  CHECK(book.judge(*tagged) == Verdict::dead);
  CHECK(book.judge(*nested) == Verdict::dead);
  CHECK(book.judge(*soft) == Verdict::stale);
  CHECK(soft->stale_since() == clock.wall());
  CHECK(book.judge(*stored(book, "h/1")) == Verdict::live);
}

TEST_CASE("a crash at any byte of the journal keeps every purge that was whole") {
  const Directory directory;
  ManualClock clock;
  std::string report;
  std::vector<std::uint64_t> ends;
  std::vector<ObjectRef> objects;
  {
    PurgeBook book(clock);
    REQUIRE(book.open_journal(directory.path(), report));
    for (int i = 0; i < 6; ++i)
      objects.push_back(stored(book, "h/" + std::to_string(i), "t" + std::to_string(i)));
    for (int i = 0; i < 6; ++i) {
      ends.push_back(book.stats().journal_bytes);
      const std::string number = std::to_string(i);
      REQUIRE(book.purge(i % 2 ? tag("t" + number) : prefix("h/" + number), PurgeMode::hard));
    }
    ends.push_back(book.stats().journal_bytes);
  }
  const std::string whole = read_file(directory.journal());
  REQUIRE(whole.size() == ends.back());
  for (std::size_t size = ends.front(); size <= whole.size(); ++size) {
    CAPTURE(size);
    // Cut short, and grown by zeros that were never written.
    for (const bool grown : {false, true}) {
      std::string left = whole.substr(0, size);
      if (grown && std::ranges::count(ends, size)) left.append(40, '\0');
      write_file(directory.journal(), left);
      PurgeBook book(clock);
      report.clear();
      REQUIRE(book.open_journal(directory.path(), report));
      CHECK(report.empty());
      for (std::size_t i = 0; i < objects.size(); ++i) {
        const bool was_whole = ends[i + 1] <= size;
        CHECK((book.judge(objects[i]->sequence(), objects[i]->key_string(), objects[i]->tags()) ==
               Verdict::dead) == was_whole);
      }
      // And it goes on from there.
      REQUIRE(book.purge(tag("t5"), PurgeMode::hard));
      PurgeBook again(clock);
      REQUIRE(again.open_journal(directory.path(), report));
      CHECK(again.judge(objects[5]->sequence(), "h/5", "t5") == Verdict::dead);
      CHECK(again.sequence() == book.sequence());
    }
  }
}

TEST_CASE("any damaged byte of the journal makes everything older purged, says so, and keeps the file") {
  const Directory directory;
  ManualClock clock;
  std::string report;
  ObjectRef purged, spared;
  {
    PurgeBook book(clock);
    REQUIRE(book.open_journal(directory.path(), report));
    purged = stored(book, "h/1");
    REQUIRE(book.purge(url("h/1"), PurgeMode::hard));
    REQUIRE(book.purge(prefix("h/x"), PurgeMode::soft));
    spared = stored(book, "h/2");
  }
  clock.advance(seconds(1));
  const std::string whole = read_file(directory.journal());
  for (std::size_t at = 0; at < whole.size(); ++at) {
    CAPTURE(at);
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x20);
    write_file(directory.journal(), bytes);
    PurgeBook book(clock);
    report.clear();
    REQUIRE(book.open_journal(directory.path(), report));
    CHECK_FALSE(report.empty());
    CHECK(book.judge(purged->sequence(), "h/1", "") == Verdict::dead);
    CHECK(book.judge(spared->sequence(), "h/2", "") == Verdict::dead);
    CHECK(book.judge(*stored(book, "h/2")) == Verdict::live);
    CHECK(read_file(directory.journal() + ".damaged") == bytes);
  }
}

TEST_CASE("a lost journal lets nothing come back") {
  const Directory directory;
  ManualClock clock;
  std::string report;
  ObjectRef object;
  {
    PurgeBook book(clock);
    REQUIRE(book.open_journal(directory.path(), report));
    REQUIRE(book.purge(tag("x"), PurgeMode::hard));
    object = stored(book, "h/1");
    REQUIRE(book.purge(url("h/1"), PurgeMode::hard));
  }
  clock.advance(seconds(1));
  fs::remove(directory.journal());
  PurgeBook book(clock);
  REQUIRE(book.open_journal(directory.path(), report));
  CHECK(book.judge(object->sequence(), "h/1", "") == Verdict::dead);
}

TEST_CASE(
    "a journal that is there and cannot be read refuses every purge until it can, and then has all there "
    "was") {
  const Directory directory;
  ManualClock clock;
  std::string report;
  std::uint64_t before = 0;
  {
    PurgeBook book(clock);
    REQUIRE(book.open_journal(directory.path(), report));
    REQUIRE(book.purge(tag("a"), PurgeMode::hard));
    before = book.sequence();
  }
  const std::string away = directory.journal() + ".away";
  fs::rename(directory.journal(), away);
  fs::create_directory(directory.journal());
  PurgeBook blind(clock);
  CHECK_FALSE(blind.open_journal(directory.path(), report));
  CHECK_FALSE(blind.purge(tag("b"), PurgeMode::hard));
  fs::remove(directory.journal());
  fs::rename(away, directory.journal());
  CHECK_FALSE(blind.purge(tag("b"), PurgeMode::hard));
  PurgeBook again(clock);
  REQUIRE(again.open_journal(directory.path(), report));
  CHECK(again.sequence() == before);
}

TEST_CASE("a journal that cannot be written refuses the purge, and takes it when it can again") {
  const Directory directory;
  ManualClock clock;
  std::string report;
  PurgeBook book(clock);
  CHECK(book.open_journal(directory.path() + "/none", report).error().code == Code::io);
  PurgeBook full(clock, {.epochs = 2, .prefixes = 1});
  REQUIRE(full.open_journal(directory.path(), report));
  REQUIRE(full.purge(tag("a"), PurgeMode::hard));
  const ObjectRef object = stored(full, "h/1", "b");
  full.set_oldest_alive([&] { return object->sequence(); });
  const std::uint64_t before = full.sequence();
  // Making room writes a new file, beside a name that is in its way.
  fs::create_directory(directory.journal() + ".new");
  CHECK(full.purge(tag("b"), PurgeMode::hard).error().code == Code::io);
  CHECK(full.sequence() == before);
  fs::remove(directory.journal() + ".new");
  REQUIRE(full.purge(tag("b"), PurgeMode::hard));
  CHECK(full.judge(*object) == Verdict::dead);
  PurgeBook again(clock);
  REQUIRE(again.open_journal(directory.path(), report));
  CHECK(again.sequence() == full.sequence());
  CHECK(again.judge(object->sequence(), "h/1", "b") == Verdict::dead);
}

TEST_CASE("what an erasing purge names is owed until that is noted, over restarts and rewritten journals") {
  const Directory directory;
  ManualClock clock;
  std::string report;
  auto book = std::make_unique<PurgeBook>(clock, PurgeBook::Limits{.epochs = 3, .prefixes = 2});
  const auto reopen = [&] {
    book = std::make_unique<PurgeBook>(clock, PurgeBook::Limits{.epochs = 3, .prefixes = 2});
    REQUIRE(book->open_journal(directory.path(), report));
  };
  REQUIRE(book->open_journal(directory.path(), report));
  const std::uint64_t old = book->sequence();
  CHECK_FALSE(book->must_erase(old, "h/1", ""));
  REQUIRE(book->purge(url("h/1"), PurgeMode::erase));
  REQUIRE(book->purge(prefix("h/2"), PurgeMode::erase));
  const std::uint64_t first = book->owed_epoch();
  CHECK(first == book->sequence());
  REQUIRE(book->purge(tag("red"), PurgeMode::hard));
  const bool is_reopened = GENERATE(false, true);
  if (is_reopened) reopen();
  CHECK(book->owed_epoch() == first);
  CHECK(book->judge(old, "h/1", "") == Verdict::dead);
  CHECK(book->must_erase(old, "h/1\nhttps", ""));
  CHECK(book->must_erase(old, "h/22", ""));
  CHECK_FALSE(book->must_erase(old, "h/3", "red"));
  CHECK_FALSE(book->must_erase(book->sequence(), "h/1", ""));
  // Making room for another name writes the journal anew.
  book->set_oldest_alive([&] { return book->sequence(); });
  REQUIRE(book->purge(tag("blue"), PurgeMode::hard));
  REQUIRE(book->purge(tag("green"), PurgeMode::erase));
  if (is_reopened) reopen();
  CHECK(book->must_erase(old, "h/1", ""));
  CHECK(book->must_erase(old, "h/4", "green"));
  // What was ordered after the walk began stays owed.
  REQUIRE(book->note_erased(first));
  if (is_reopened) reopen();
  CHECK_FALSE(book->must_erase(old, "h/1", ""));
  CHECK_FALSE(book->must_erase(old, "h/2", ""));
  CHECK(book->must_erase(old, "h/4", "green"));
  CHECK(book->judge(old, "h/1", "") == Verdict::dead);
  REQUIRE(book->purge(everything(), PurgeMode::erase));
  if (is_reopened) reopen();
  CHECK(book->must_erase(old, "h/any", ""));
  CHECK(book->must_erase(book->sequence() + 1, "h/of another journal", ""));
  REQUIRE(book->note_erased(book->owed_epoch()));
  if (is_reopened) reopen();
  CHECK(book->owed_epoch() == 0);
  CHECK_FALSE(book->must_erase(old, "h/any", ""));
}

TEST_CASE("a damaged journal still owes what was read of it") {
  const Directory directory;
  ManualClock clock;
  std::string report;
  std::uint64_t old = 0;
  std::uint64_t whole = 0;
  {
    PurgeBook book(clock);
    REQUIRE(book.open_journal(directory.path(), report));
    old = book.sequence();
    REQUIRE(book.purge(url("h/1"), PurgeMode::erase));
    whole = book.stats().journal_bytes;
    REQUIRE(book.purge(url("h/2"), PurgeMode::hard));
  }
  std::string bytes = read_file(directory.journal());
  bytes[whole + 20] = static_cast<char>(bytes[whole + 20] ^ 1);
  write_file(directory.journal(), bytes);
  for (int i = 0; i < 2; ++i) {
    PurgeBook book(clock);
    report.clear();
    REQUIRE(book.open_journal(directory.path(), report));
    CHECK(report.empty() == (i == 1));
    CHECK(book.must_erase(old, "h/1", ""));
    CHECK(book.judge(old, "h/2", "") == Verdict::dead);
  }
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

TEST_CASE("what was only written is synced on demand, once") {
  const Directory directory;
  ManualClock clock;
  std::string report;
  PurgeBook book(clock);
  REQUIRE(book.open_journal(directory.path(), report));
  CHECK_FALSE(book.is_unsynced());
  const PurgeTarget target = url("h/1");
  const auto write = [&] {
    REQUIRE(book.purge(std::span(&target, 1), PurgeMode::hard, PurgeBook::Durability::written));
  };
  write();
  CHECK(book.is_unsynced());
  REQUIRE(book.sync());
  CHECK_FALSE(book.is_unsynced());
  write();
  REQUIRE(book.purge(tag("x"), PurgeMode::hard));  // takes the earlier one along
  CHECK_FALSE(book.is_unsynced());
  CHECK(book.sync());
}

}  // namespace vignette::cache
