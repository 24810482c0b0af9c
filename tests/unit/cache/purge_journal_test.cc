// The journal of purges: what survives in it, damage, and what happens while it cannot be written.
#include "cache/purge/purge_journal.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "cache/purge/identity.h"
#include "purge_support.h"

namespace vignette::cache {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

TEST_CASE("a new journal numbers from the clock's microseconds on") {
  JournalScene on;
  on.clock.advance(std::chrono::microseconds(17));
  PurgeBook book(on.clock);
  on.open(book);
  CHECK(book.sequence() == static_cast<std::uint64_t>(on.clock.wall_micros().time_since_epoch().count()));
  CHECK(book.sequence() % 1'000'000 == 17);
}

TEST_CASE("purges and the sequence survive in the journal") {
  JournalScene on;
  std::uint64_t sequence = 0;
  ObjectRef object, tagged, nested, soft;
  {
    PurgeBook book(on.clock);
    on.open(book);
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
  PurgeBook book(on.clock);
  on.open(book);
  CHECK(on.report.empty());
  CHECK(book.sequence() == sequence);
  CHECK(book.judge(*object) == Verdict::dead);
  CHECK(book.judge(*tagged) == Verdict::dead);
  CHECK(book.judge(*nested) == Verdict::dead);
  CHECK(book.judge(*soft) == Verdict::stale);
  CHECK(soft->stale_since() == on.clock.wall());
  CHECK(book.judge(*stored(book, "h/1")) == Verdict::live);
}

TEST_CASE("a crash at any byte of the journal keeps every purge that was whole") {
  JournalScene on;
  std::vector<std::uint64_t> ends;
  std::vector<ObjectRef> objects;
  {
    PurgeBook book(on.clock);
    on.open(book);
    for (int i = 0; i < 6; ++i)
      objects.push_back(stored(book, "h/" + std::to_string(i), "t" + std::to_string(i)));
    for (int i = 0; i < 6; ++i) {
      ends.push_back(book.stats().journal_bytes);
      const std::string number = std::to_string(i);
      REQUIRE(book.purge(i % 2 ? tag("t" + number) : prefix("h/" + number), PurgeMode::hard));
    }
    ends.push_back(book.stats().journal_bytes);
  }
  const std::string whole = read_file(on.journal());
  REQUIRE(whole.size() == ends.back());
  for (std::size_t size = ends.front(); size <= whole.size(); ++size) {
    CAPTURE(size);
    // Cut short, and grown by zeros that were never written.
    for (const bool grown : {false, true}) {
      std::string left = whole.substr(0, size);
      if (grown && std::ranges::count(ends, size)) left.append(40, '\0');
      write_file(on.journal(), left);
      PurgeBook book(on.clock);
      on.open(book);
      CHECK(on.report.empty());
      for (std::size_t i = 0; i < objects.size(); ++i) {
        const bool was_whole = ends[i + 1] <= size;
        CHECK((book.judge(objects[i]->sequence(), objects[i]->key_string(), objects[i]->tags()) ==
               Verdict::dead) == was_whole);
      }
      // And it goes on from there.
      REQUIRE(book.purge(tag("t5"), PurgeMode::hard));
      PurgeBook again(on.clock);
      on.open(again);
      CHECK(again.judge(objects[5]->sequence(), "h/5", "t5") == Verdict::dead);
      CHECK(again.sequence() == book.sequence());
    }
  }
}

TEST_CASE("any damaged byte of the journal makes everything older purged, says so, and keeps the file") {
  JournalScene on;
  ObjectRef purged, spared;
  {
    PurgeBook book(on.clock);
    on.open(book);
    purged = stored(book, "h/1");
    REQUIRE(book.purge(url("h/1"), PurgeMode::hard));
    REQUIRE(book.purge(prefix("h/x"), PurgeMode::soft));
    spared = stored(book, "h/2");
  }
  on.clock.advance(seconds(1));
  const std::string whole = read_file(on.journal());
  for (std::size_t at = 0; at < whole.size(); ++at) {
    CAPTURE(at);
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x20);
    write_file(on.journal(), bytes);
    PurgeBook book(on.clock);
    on.open(book);
    CHECK_FALSE(on.report.empty());
    CHECK(book.judge(purged->sequence(), "h/1", "") == Verdict::dead);
    CHECK(book.judge(spared->sequence(), "h/2", "") == Verdict::dead);
    CHECK(book.judge(*stored(book, "h/2")) == Verdict::live);
    CHECK(read_file(on.journal() + ".damaged") == bytes);
  }
}

TEST_CASE("a lost journal lets nothing come back") {
  JournalScene on;
  ObjectRef object;
  {
    PurgeBook book(on.clock);
    on.open(book);
    REQUIRE(book.purge(tag("x"), PurgeMode::hard));
    object = stored(book, "h/1");
    REQUIRE(book.purge(url("h/1"), PurgeMode::hard));
  }
  on.clock.advance(seconds(1));
  fs::remove(on.journal());
  PurgeBook book(on.clock);
  on.open(book);
  CHECK(book.judge(object->sequence(), "h/1", "") == Verdict::dead);
}

TEST_CASE(
    "a journal that is there and cannot be read makes no purge durable until it can, and then has all there "
    "was") {
  JournalScene on;
  std::uint64_t before = 0;
  {
    PurgeBook book(on.clock);
    on.open(book);
    REQUIRE(book.purge(tag("a"), PurgeMode::hard));
    before = book.sequence();
  }
  const std::string away = on.journal() + ".away";
  fs::rename(on.journal(), away);
  fs::create_directory(on.journal());
  PurgeBook blind(on.clock);
  CHECK_FALSE(blind.open_journal(on.folder.path(), on.report));
  const ObjectRef object = stored(blind, "h/1", "b");
  const auto refused = blind.purge(tag("b"), PurgeMode::hard);
  REQUIRE(refused);
  CHECK(refused->not_durable);
  CHECK(blind.judge(*object) == Verdict::dead);
  CHECK(blind.is_behind());
  CHECK_FALSE(blind.purge(tag("b"), PurgeMode::erase));
  fs::remove(on.journal());
  fs::rename(away, on.journal());
  CHECK(blind.purge(tag("b"), PurgeMode::hard)->not_durable);
  PurgeBook again(on.clock);
  on.open(again);
  CHECK(again.sequence() == before);
  CHECK(again.judge(object->sequence(), "h/1", "") == Verdict::dead);
}

TEST_CASE("a full file system holds no purge up, and the next sync that can makes all of them durable") {
  JournalScene on;
  PurgeBook book(on.clock);
  on.open(book);
  REQUIRE_FALSE(book.purge(tag("a"), PurgeMode::hard)->not_durable);
  const std::uint64_t known = book.sequence();
  const ObjectRef tagged = stored(book, "h/1", "b");
  const ObjectRef page = stored(book, "h/2");
  const auto durability = GENERATE(PurgeBook::Durability::synced, PurgeBook::Durability::written);
  const std::vector<PurgeTarget> two{url("h/2"), prefix("h/3")};
  {
    const FullFileSystem full(book.stats().journal_bytes + 10);
    const auto first = book.purge(tag("b"), PurgeMode::hard);
    REQUIRE(first);
    REQUIRE(first->not_durable);
    CHECK(first->not_durable->code == Code::io);
    REQUIRE(book.purge(two, PurgeMode::soft, durability)->not_durable);
    CHECK(book.judge(*tagged) == Verdict::dead);
    CHECK(book.judge(*page) == Verdict::stale);
    CHECK_FALSE(book.sync());
    CHECK(book.is_behind());
    CHECK(book.is_unsynced());
    CHECK(book.stats().not_durable == 2);
    CHECK(book.stats().purges == 3);
    CHECK_FALSE(fs::exists(on.journal() + ".new"));
    // A crash now: what the journal lacks is forgotten, and nothing else.
    PurgeBook after(on.clock);
    const fs::path copy = on.folder.path() + "/copy";
    fs::create_directory(copy);
    fs::copy_file(on.journal(), copy / PurgeJournal::kName);
    REQUIRE(after.open_journal(copy.string(), on.report));
    CHECK(on.report.empty());
    CHECK(after.sequence() == known);
    fs::remove_all(copy);
  }
  CHECK(book.may_be_kept(known));
  CHECK_FALSE(book.may_be_kept(book.sequence()));
  REQUIRE(book.sync());
  CHECK_FALSE(book.is_behind());
  CHECK_FALSE(book.is_unsynced());
  CHECK(book.may_be_kept(book.sequence()));
  PurgeBook again(on.clock);
  on.open(again);
  CHECK(again.sequence() == book.sequence());
  CHECK(again.judge(tagged->sequence(), "h/1", "b") == Verdict::dead);
  CHECK(again.judge(page->sequence(), "h/2", "") == Verdict::stale);
}

TEST_CASE("an erasing purge that cannot be written down is no purge") {
  JournalScene on;
  PurgeBook book(on.clock);
  on.open(book);
  const ObjectRef object = stored(book, "h/1");
  const std::uint64_t before = book.sequence();
  {
    const FullFileSystem full(book.stats().journal_bytes);
    CHECK(book.purge(url("h/1"), PurgeMode::erase).error().code == Code::io);
  }
  CHECK(book.sequence() == before);
  CHECK(book.owed_epoch() == 0);
  CHECK_FALSE(book.is_behind());
  CHECK(book.judge(*object) == Verdict::live);
  REQUIRE(book.purge(url("h/1"), PurgeMode::erase));
  CHECK(book.judge(*object) == Verdict::dead);
}

TEST_CASE("a journal that cannot be made anew leaves what there is, and purges in effect") {
  JournalScene on;
  PurgeBook none(on.clock);
  CHECK(none.open_journal(on.folder.path() + "/none", on.report).error().code == Code::io);
  CHECK(none.purge(tag("a"), PurgeMode::hard)->not_durable);
  PurgeBook full(on.clock, {.epochs = 2, .prefixes = 1});
  on.open(full);
  REQUIRE(full.purge(tag("a"), PurgeMode::hard));
  const ObjectRef object = stored(full, "h/1", "b");
  full.set_oldest_alive([&] { return object->sequence(); });
  // Making room writes a new file, beside a name that is in its way.
  fs::create_directory(on.journal() + ".new");
  REQUIRE(full.purge(tag("b"), PurgeMode::hard)->not_durable);
  CHECK(full.judge(*object) == Verdict::dead);
  fs::remove(on.journal() + ".new");
  REQUIRE_FALSE(full.purge(tag("b"), PurgeMode::hard)->not_durable);
  CHECK_FALSE(full.is_behind());
  PurgeBook again(on.clock);
  on.open(again);
  CHECK(again.sequence() == full.sequence());
  CHECK(again.judge(object->sequence(), "h/1", "b") == Verdict::dead);
}

TEST_CASE("what an erasing purge names is owed until that is noted, over restarts and rewritten journals") {
  JournalScene on;
  auto book = std::make_unique<PurgeBook>(on.clock, PurgeBook::Limits{.epochs = 3, .prefixes = 2});
  const auto reopen = [&] {
    book = std::make_unique<PurgeBook>(on.clock, PurgeBook::Limits{.epochs = 3, .prefixes = 2});
    on.open(*book);
  };
  on.open(*book);
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
  JournalScene on;
  std::uint64_t old = 0;
  std::uint64_t whole = 0;
  {
    PurgeBook book(on.clock);
    on.open(book);
    old = book.sequence();
    REQUIRE(book.purge(url("h/1"), PurgeMode::erase));
    whole = book.stats().journal_bytes;
    REQUIRE(book.purge(url("h/2"), PurgeMode::hard));
  }
  std::string bytes = read_file(on.journal());
  bytes[whole + 20] = static_cast<char>(bytes[whole + 20] ^ 1);
  write_file(on.journal(), bytes);
  for (int i = 0; i < 2; ++i) {
    PurgeBook book(on.clock);
    on.open(book);
    CHECK(on.report.empty() == (i == 1));
    CHECK(book.must_erase(old, "h/1", ""));
    CHECK(book.judge(old, "h/2", "") == Verdict::dead);
  }
}
TEST_CASE("what was only written is synced on demand, once") {
  JournalScene on;
  PurgeBook book(on.clock);
  on.open(book);
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
