// What is concluded of a key's facts: why the last answer was a miss, and what the next will be.
#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "proxy/admin/explain_text.h"

using namespace vignette;
using namespace vignette::proxy;
using cache::Departed;
using std::chrono::seconds;

namespace {

const WallTime kNow{seconds(1'700'000'000)};  // Tue, 14 Nov 2023 22:13:20 GMT
constexpr std::string_view kEarlier = "Tue, 14 Nov 2023 22:13:00 GMT";
const WallTime kAt = kNow - seconds(20);

cache::ObjectRef object(seconds lifetime, cache::ObjectFlags flags = {}) {
  cache::ObjectHead head;
  head.response_time = head.request_time = kNow - seconds(100);
  head.freshness_lifetime = lifetime;
  head.stale_while_revalidate = seconds(50);
  head.stale_if_error = seconds(500);
  head.flags = flags;
  head.content_length = 3 << 20;
  return cache::Object::complete(head, cache::hash_key("h/a"), "h/a", "");
}

KeyFacts holding(seconds lifetime, cache::ObjectFlags flags = {}) {
  KeyFacts facts;
  facts.tier = Tier::memory;
  facts.object = object(lifetime, flags);
  facts.serve = cache::decide_serve(*facts.object, kNow);
  return facts;
}

KeyFacts departed(cache::Departure departure) {
  KeyFacts facts;
  facts.last = departure;
  facts.last.at = kAt;
  return facts;
}

KeyFacts with(KeyFacts facts, const std::function<void(KeyFacts&)>& change) {
  change(facts);
  return facts;
}

cache::PurgeCause purge_by(cache::PurgedBy by, std::string name, WallTime at) {
  return {.by = by, .mode = cache::PurgeMode::hard, .name = std::move(name), .sequence = 7, .at = at};
}

KeyFacts dead(std::optional<cache::PurgeCause> cause) {
  KeyFacts facts = holding(seconds(600));
  facts.verdict = cache::Verdict::dead;
  facts.purge = std::move(cause);
  return facts;
}

Explanation explaining(KeyFacts facts) {
  Explanation explanation;
  explanation.mode = cache::CacheMode::on;
  explanation.origin = "app";
  explanation.facts = std::move(facts);
  return explanation;
}

}  // namespace

TEST_CASE("why the last answer was a miss") {
  const std::string at(kEarlier);
  const auto disk = [](KeyFacts& facts) { facts.disk.emplace(); };
  struct Row {
    KeyFacts facts;
    std::string_view cause;
    std::string text;
  };
  const std::vector<Row> rows = {
      {{}, "never-seen", "never seen before"},
      {with({}, [](KeyFacts& facts) { facts.may_be_forgotten = true; }), "never-seen",
       "never seen, or too long ago"},
      {holding(seconds(600)), "never-seen", "never seen before"},
      {with({}, [](KeyFacts& facts) { facts.lacks_variant = true; }), "vary",
       "nothing is stored for these values of the Vary fields"},
      {departed({.cause = Departed::evicted}), "evicted", "evicted from memory " + at},
      {with(departed({.cause = Departed::evicted, .was_stale = true}), disk), "evicted",
       "evicted from memory " + at + ", when its lifetime had ended; not on disk any more"},
      {with(departed({.cause = Departed::evicted, .not_on_disk = cache::DiskRefusal::once}), disk), "evicted",
       "evicted from memory " + at + "; not admitted to disk: it was asked for only once"},
      {with(departed({.cause = Departed::reclaimed}), disk), "reclaimed", "given up by the disk " + at},
      {departed({.cause = Departed::expired}), "expired", "its lifetime ended " + at},
      {departed({.cause = Departed::replaced}), "replaced",
       "fetched again " + at + ", before its lifetime ended"},
      {departed({.cause = Departed::purged, .purged_by = cache::PurgedBy::prefix}), "purged",
       "purged " + at + " by prefix"},
      {departed({.cause = Departed::not_stored, .reason = cache::Reason::is_private}), "not-stored",
       "the answer of " + at + " was not stored: private"},
      {departed({.cause = Departed::failed, .code = Code::timeout}), "failed",
       "the fetch of " + at + " failed: timeout"},
      {with(departed({.cause = Departed::not_stored, .reason = cache::Reason::set_cookie}),
            [](KeyFacts& facts) { facts.passes_for = seconds(99); }),
       "hit-for-miss",
       "the answer of " + at + " was not stored: set-cookie; requests go side by side for 99 s more"},
      {holding(seconds(80)), "stale", "its lifetime ended " + at},
      {dead(purge_by(cache::PurgedBy::tag, "red", kAt)), "purged", "purged " + at + " by tag red (purge 7)"},
      {dead(purge_by(cache::PurgedBy::everything, "", {})), "purged", "purged by everything (purge 7)"},
      {dead({}), "purged", "it is older than what the book of purges knows"}};
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const MissReason reason = why_missed(row.facts, kNow);
    CHECK(reason.cause == row.cause);
    CHECK(reason.text == row.text);
  }
}

TEST_CASE("what the next answer will be") {
  struct Row {
    Explanation explanation;
    std::string_view answer;
    std::string text;
  };
  const auto with_original = [](KeyFacts original) {
    Explanation explanation = explaining({});
    explanation.original = std::move(original);
    return explanation;
  };
  Explanation off = explaining(holding(seconds(600)));
  off.mode = cache::CacheMode::off;
  const auto parts = [](std::uint64_t present) {
    return with(holding(seconds(600), {.is_manifest = true}), [present](KeyFacts& facts) {
      facts.chunks = 3;
      facts.chunks_present = present;
    });
  };
  const std::vector<Row> rows = {
      {std::move(off), "pass", "goes to the origin: the route's cache is off"},
      {explaining({}), "miss", "a miss: fetched from app"},
      {explaining(dead({})), "miss", "a miss: fetched from app"},
      {explaining(with({}, [](KeyFacts& facts) { facts.fill.emplace(); })), "join",
       "joins the fill that is under way"},
      {explaining(with({}, [](KeyFacts& facts) { facts.passes_for = seconds(5); })), "miss",
       "a fetch of its own: answers are not shared for 5 s more"},
      {explaining(holding(seconds(600))), "hit", "a hit"},
      {explaining(with(holding(seconds(600)), [](KeyFacts& facts) { facts.tier = Tier::disk; })), "hit",
       "a hit, read from disk"},
      {explaining(parts(3)), "hit", "a hit"},
      {explaining(parts(2)), "partial", "a hit but for what is missing of 3 chunks"},
      {explaining(holding(seconds(80))), "stale", "the stale answer, and a fetch behind it"},
      {explaining(holding(seconds(20))), "revalidate",
       "the origin is asked first; the stale answer if it fails"},
      {explaining(holding(seconds(600), {.no_cache = true})), "revalidate", "the origin is asked first"},
      {with_original({}), "miss", "a miss: made from a photo that app gives"},
      {with_original(holding(seconds(600))), "miss", "a miss: made from the photo in the cache (memory)"}};
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const NextAnswer next = next_answer(row.explanation);
    CHECK(next.answer == row.answer);
    CHECK(next.text == row.text);
  }
}

TEST_CASE("a lifetime is told with its rule, as long as that still gives it") {
  const cache::ObjectRef stored = object(seconds(60));
  using cache::LifetimeBound;
  using cache::LifetimeRule;
  const auto told = [&](cache::Lifetime lifetime) {
    if (lifetime.seconds == seconds(0)) lifetime.seconds = seconds(60);
    return lifetime_text(*stored, lifetime);
  };
  CHECK(told({.rule = LifetimeRule::s_maxage}) == "s-maxage of Cache-Control");
  CHECK(told({.rule = LifetimeRule::max_age, .field = http::FieldId::cdn_cache_control}) ==
        "max-age of CDN-Cache-Control");
  CHECK(told({.rule = LifetimeRule::expires}) == "Expires");
  CHECK(told({.rule = LifetimeRule::negative_ttl}) == "negative_ttl of the route");
  CHECK(told({.rule = LifetimeRule::heuristic, .bound = LifetimeBound::max_ttl}) ==
        "a tenth of the time since Last-Modified, cut to max_ttl of the route");
  CHECK(told({.rule = LifetimeRule::max_age, .bound = LifetimeBound::min_ttl}) ==
        "max-age of Cache-Control, raised to min_ttl of the route");
  CHECK(told({.seconds = seconds(61), .rule = LifetimeRule::max_age}) ==
        "a configuration or a field that is not there any more");
}
