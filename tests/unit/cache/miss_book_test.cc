#include "cache/insight/miss_book.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace vignette;
using namespace vignette::cache;
using std::chrono::seconds;

namespace {

bool same(const Departure& a, const Departure& b) {
  return a.cause == b.cause && a.was_stale == b.was_stale && a.not_on_disk == b.not_on_disk &&
         a.reason == b.reason && a.code == b.code && a.purged_by == b.purged_by && a.at == b.at;
}

}  // namespace

TEST_CASE("what is noted is what is remembered") {
  ManualClock clock;
  MissBook book(clock);
  const WallTime at(seconds(4'000'000'000));  // beyond 31 bits
  std::vector<Departure> all = {
      {.cause = Departed::evicted, .was_stale = true, .not_on_disk = DiskRefusal::once, .at = at},
      {.cause = Departed::evicted, .not_on_disk = DiskRefusal::too_large, .at = at},
      {.cause = Departed::reclaimed, .at = at},
      {.cause = Departed::expired, .at = at},
      {.cause = Departed::replaced, .at = at},
      {.cause = Departed::dropped, .at = at}};
  for (const PurgedBy by :
       {PurgedBy::everything, PurgedBy::url, PurgedBy::tag, PurgedBy::prefix, PurgedBy::origin}) {
    all.push_back({.cause = Departed::purged, .purged_by = by, .at = at});
  }
  for (int reason = 1; reason <= static_cast<int>(Reason::purged); ++reason) {
    all.push_back({.cause = Departed::not_stored, .reason = static_cast<Reason>(reason), .at = at});
  }
  for (int code = 0; code <= static_cast<int>(Code::internal); ++code) {
    all.push_back({.cause = Departed::failed, .code = static_cast<Code>(code), .at = at});
  }
  const Key key = hash_key("h/a");
  for (const Departure& each : all) {
    CAPTURE(to_string(each.cause), to_string(each.reason), to_string(each.code));
    book.note(key, each);
    CHECK(same(book.last(key), each));
  }
}

TEST_CASE("without a time of its own it is now") {
  ManualClock clock;
  MissBook book(clock);
  clock.advance(seconds(7));
  book.note(hash_key("h/a"), {.cause = Departed::dropped});
  CHECK(book.last(hash_key("h/a")).at == clock.wall());
}

TEST_CASE("a key is forgotten when another takes its place, and never taken for it") {
  ManualClock clock;
  MissBook book(clock);
  const Key first{.hi = 5, .lo = 1};
  const Key same_place{.hi = 5 + MissBook::kPlaces, .lo = 2};
  const Key elsewhere{.hi = 6, .lo = 1};
  CHECK_FALSE(book.may_have_forgotten(first));
  book.note(first, {.cause = Departed::dropped});
  CHECK(book.last(first).cause == Departed::dropped);
  CHECK_FALSE(book.may_have_forgotten(first));
  CHECK(book.may_have_forgotten(same_place));
  CHECK(book.last(same_place).cause == Departed::unknown);
  book.note(same_place, {.cause = Departed::reclaimed});
  CHECK(book.last(first).cause == Departed::unknown);
  CHECK(book.may_have_forgotten(first));
  CHECK(book.last(same_place).cause == Departed::reclaimed);
  CHECK(book.last(elsewhere).cause == Departed::unknown);
  CHECK_FALSE(book.may_have_forgotten(elsewhere));
}

TEST_CASE("a key of zeros is like any other") {
  ManualClock clock;
  MissBook book(clock);
  CHECK(book.last(Key()).cause == Departed::unknown);
  CHECK_FALSE(book.may_have_forgotten(Key()));
  book.note(Key(), {.cause = Departed::expired});
  CHECK(book.last(Key()).cause == Departed::expired);
}

TEST_CASE("it remembers as many keys as it has places") {
  ManualClock clock;
  MissBook book(clock);
  for (std::uint64_t i = 0; i < MissBook::kPlaces + 1; ++i) {
    book.note({.hi = i, .lo = i}, {.cause = Departed::dropped});
  }
  std::size_t known = 0;
  for (std::uint64_t i = 0; i < MissBook::kPlaces + 1; ++i) {
    known += book.last({.hi = i, .lo = i}).cause == Departed::dropped;
  }
  CHECK(known == MissBook::kPlaces);
  CHECK(book.last({.hi = 0, .lo = 0}).cause == Departed::unknown);
}
