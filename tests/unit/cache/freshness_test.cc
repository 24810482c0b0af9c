#include "cache/freshness.h"

#include <catch2/catch.hpp>
#include <initializer_list>
#include <utility>

#include "cache/cache_status.h"
#include "cache_support.h"
#include "http/date.h"

using namespace vignette;
using namespace vignette::cache;
using std::chrono::hours;
using std::chrono::seconds;

namespace {

using Fields = std::initializer_list<std::pair<std::string_view, std::string_view>>;
const WallTime kNow{seconds(1'700'000'000)};  // Tue, 14 Nov 2023 22:13:20 GMT
constexpr std::string_view kDate = "Tue, 14 Nov 2023 22:13:20 GMT";

http::ResponseHead response(int status, Fields fields) {
  http::ResponseHead head;
  head.status = status;
  head.framing = http::Framing::length;
  head.content_length = 1;
  for (auto [name, value] : fields) head.fields.add(name, value);
  return head;
}

CachePolicy with_mode(CacheMode mode) {
  CachePolicy policy;
  policy.mode = mode;
  return policy;
}

Reason stored(int status, Fields fields, const CachePolicy& policy = {}, RequestFacts request = {}) {
  return decide_storable(request, response(status, fields), policy, kNow);
}

seconds lifetime(int status, Fields fields, const CachePolicy& policy = {}) {
  return freshness_lifetime(response(status, fields), policy, kNow).seconds;
}

Serve served(Fields fields, seconds later, const CachePolicy& policy = {}) {
  http::RequestHead request;
  request.method = http::Method::get;
  AssessmentScratch scratch;
  const Assessment made = assess(request, response(200, fields), policy, {kNow, kNow}, scratch);
  const ObjectRef object = Object::complete(made.head, hash_key("k"), "k", "x");
  return decide_serve(*object, kNow + later).serve;
}

}  // namespace

TEST_CASE("lifetimes come from the most specific directive") {
  CHECK(lifetime(200, {{"cache-control", "max-age=60"}}) == seconds(60));
  CHECK(lifetime(200, {{"cache-control", "max-age=60, s-maxage=90"}}) == seconds(90));
  CHECK(lifetime(200, {{"cache-control", "s-maxage=90"}, {"cdn-cache-control", "max-age=5"}}) == seconds(5));
  CHECK(lifetime(200, {{"cache-control", "max-age=60"}, {"surrogate-control", "max-age=7"}}) == seconds(7));
  CHECK(lifetime(200, {{"surrogate-control", "max-age=7"}, {"cdn-cache-control", "max-age=5"}}) ==
        seconds(5));
  CHECK(lifetime(200, {{"date", kDate}, {"expires", "Tue, 14 Nov 2023 22:14:20 GMT"}}) == seconds(60));
  CHECK(lifetime(200, {{"expires", "Tue, 14 Nov 2023 22:14:20 GMT"}}) == seconds(60));
  CHECK(lifetime(200, {{"cache-control", "max-age=9"}, {"expires", "0"}}) == seconds(9));
  CHECK(lifetime(200, {{"date", kDate}, {"expires", "0"}}, media_policy()) == seconds(0));
}

TEST_CASE("heuristics count only in mode on, a tenth of the age, a day at most") {
  const Fields old = {{"date", kDate}, {"last-modified", "Tue, 14 Nov 2023 21:13:20 GMT"}};
  const Fields ancient = {{"date", kDate}, {"last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"}};
  CHECK(lifetime(200, old, with_mode(CacheMode::on)) == seconds(360));
  CHECK(lifetime(200, ancient, with_mode(CacheMode::on)) == hours(24));
  CHECK(lifetime(200, old) == seconds(0));
  CHECK(lifetime(302, old, with_mode(CacheMode::on)) == seconds(0));
  CHECK(lifetime(200, {{"etag", "\"a\""}}, with_mode(CacheMode::on)) == seconds(0));
}

TEST_CASE("where the origin is a store of photos, silence means a day, and misses are short") {
  CHECK(lifetime(200, {}, media_policy()) == hours(24));
  CHECK(lifetime(404, {}, media_policy()) == seconds(10));
  CHECK(lifetime(410, {}, media_policy()) == seconds(10));
  CHECK(lifetime(503, {}, media_policy()) == seconds(1));
  CHECK(lifetime(403, {}, media_policy()) == seconds(0));
  CHECK(stored(404, {}, media_policy()) == Reason::none);
  CHECK(stored(403, {}, media_policy()) == Reason::no_freshness);
  CHECK(stored(404, {}, with_mode(CacheMode::on)) == Reason::no_freshness);
}

TEST_CASE("what may not be stored says why") {
  const std::pair<std::string_view, std::string_view> fresh{"cache-control", "max-age=60"};
  RequestFacts request;
  CHECK(stored(200, {fresh}) == Reason::none);
  CHECK(stored(200, {fresh}, with_mode(CacheMode::off)) == Reason::cache_off);
  CHECK(stored(206, {fresh}) == Reason::partial);
  CHECK(stored(304, {fresh}) == Reason::status);
  CHECK(stored(416, {fresh}) == Reason::status);
  CHECK(stored(200, {{"cache-control", "no-store, max-age=60"}}) == Reason::no_store);
  CHECK(stored(200, {{"cache-control", "private, max-age=60"}}) == Reason::is_private);
  CHECK(stored(200, {{"cache-control", "private=\"x-a\", max-age=60"}}) == Reason::is_private);
  CHECK(stored(200, {fresh, {"set-cookie", "a=b"}}) == Reason::set_cookie);
  CHECK(stored(200, {fresh, {"vary", "*"}}) == Reason::vary_star);
  CHECK(stored(200, {{"cache-control", "no-store"}, {"cdn-cache-control", "max-age=5"}}) == Reason::none);
  CHECK(stored(299, {{"cache-control", "must-understand, no-store, max-age=5"}}) == Reason::must_understand);
  CHECK(stored(200, {{"cache-control", "must-understand, no-store, max-age=5"}}) == Reason::none);
  CHECK(stored(200, {}) == Reason::no_freshness);
  CHECK(stored(200, {{"etag", "\"a\""}}) == Reason::no_freshness);
  CHECK(stored(200, {{"etag", "\"a\""}}, with_mode(CacheMode::on)) == Reason::none);
  CHECK(stored(200, {{"cache-control", "max-age=0"}}) == Reason::zero_lifetime);
  CHECK(stored(200, {{"cache-control", "max-age=0"}, {"etag", "\"a\""}}) == Reason::none);
  CHECK(stored(200, {{"cache-control", "no-cache"}}, media_policy()) == Reason::zero_lifetime);
  request.method = http::Method::post;
  CHECK(stored(200, {fresh}, {}, request) == Reason::method);
  request = {.has_body = true};
  CHECK(stored(200, {fresh}, {}, request) == Reason::request_body);
  request = {.no_store = true};
  CHECK(stored(200, {fresh}, {}, request) == Reason::none);
  CachePolicy obeying;
  obeying.obey_request = true;
  CHECK(stored(200, {fresh}, obeying, request) == Reason::request_no_store);
}

TEST_CASE("an authorized response is stored only when it says that it may") {
  const RequestFacts request{.has_authorization = true};
  CHECK(stored(200, {{"cache-control", "max-age=60"}}, {}, request) == Reason::authorization);
  for (std::string_view allowed : {"public, max-age=60", "must-revalidate, max-age=60", "s-maxage=60"}) {
    CHECK(stored(200, {{"cache-control", allowed}}, {}, request) == Reason::none);
  }
}

TEST_CASE("an object goes from fresh over the stale windows to nothing") {
  const Fields plain = {{"cache-control", "max-age=100"}};
  CHECK(served(plain, seconds(99)) == Serve::fresh);
  CHECK(served(plain, seconds(100)) == Serve::stale_if_error);
  CHECK(served(plain, seconds(100), media_policy()) == Serve::stale_while_revalidate);
  CHECK(served(plain, seconds(159), media_policy()) == Serve::stale_while_revalidate);
  CHECK(served(plain, seconds(160), media_policy()) == Serve::stale_if_error);
  CHECK(served(plain, hours(24) + seconds(99)) == Serve::stale_if_error);
  CHECK(served(plain, hours(24) + seconds(100)) == Serve::must_revalidate);
  CHECK(served({{"cache-control", "max-age=100, must-revalidate"}}, seconds(100)) == Serve::must_revalidate);
  CHECK(served({{"cache-control", "s-maxage=100"}}, seconds(100)) == Serve::must_revalidate);
  CHECK(served({{"cache-control", "max-age=100, stale-while-revalidate=5, stale-if-error=0"}},
               seconds(106)) == Serve::must_revalidate);
  CHECK(served({{"cache-control", "no-cache"}, {"etag", "\"a\""}}, seconds(0)) == Serve::must_revalidate);
  CHECK(served({{"cache-control", "max-age=0"}, {"etag", "\"a\""}}, seconds(0)) == Serve::must_revalidate);
  CHECK(served({{"cache-control", "max-age=100"}, {"age", "90"}}, seconds(9)) == Serve::fresh);
  CHECK(served({{"cache-control", "max-age=100"}, {"age", "90"}}, seconds(10)) == Serve::stale_if_error);
}

TEST_CASE("request directives count where the route obeys them") {
  const ObjectRef object = object_for("k", 1);  // fresh for an hour
  http::RequestDirectives request;
  request.no_cache = true;
  CHECK(decide_serve(*object, kNow, &request).serve == Serve::must_revalidate);
  request = {};
  request.max_age = seconds(10);
  CHECK(decide_serve(*object, kNow + seconds(9), &request).serve == Serve::fresh);
  CHECK(decide_serve(*object, kNow + seconds(10), &request).serve != Serve::fresh);
  request = {};
  request.min_fresh = seconds(3000);
  CHECK(decide_serve(*object, kNow + seconds(599), &request).serve == Serve::fresh);
  CHECK(decide_serve(*object, kNow + seconds(600), &request).serve != Serve::fresh);
  request = {};
  request.max_stale = seconds(10);
  CHECK(decide_serve(*object, kNow + seconds(3610), &request).serve == Serve::fresh);
  CHECK(decide_serve(*object, kNow + seconds(3611), &request).serve == Serve::must_revalidate);
}

TEST_CASE("a 304 replaces fields and lifetime but not what describes the bytes") {
  const ObjectRef old = Object::complete(fresh_head("Content-Type: image/jpeg\r\nETag: \"v1\"\r\nX-A: 1\r\n"),
                                         hash_key("k"), "k", "body");
  http::RequestHead request;
  request.method = http::Method::get;
  AssessmentScratch scratch;
  const auto update = response(304, {{"cache-control", "max-age=7"},
                                     {"x-a", "2"},
                                     {"content-type", "image/jpeg; x=1"},
                                     {"content-encoding", "br"},
                                     {"etag", "\"v2\""}});
  const Assessment made = assess_not_modified(*old, request, update, {}, {kNow, kNow}, scratch);
  CHECK(made.not_stored == Reason::none);
  const ObjectRef fresh = old->freshened(made.head);
  CHECK(fresh->status() == 200);
  CHECK(fresh->field("content-type") == "image/jpeg; x=1");
  CHECK(fresh->field("date") == kDate);
  CHECK(fresh->field("x-a") == "2");
  CHECK(fresh->etag() == "\"v1\"");
  CHECK(fresh->freshness_lifetime() == seconds(7));
  CHECK(body_text(*fresh) == "body");
}

TEST_CASE("Cache-Status says what happened and never claims a hit that was forwarded") {
  char buffer[kCacheStatusBytes];
  CHECK(render({.hit = true, .ttl = seconds(30)}, buffer) == "Vignette; hit; ttl=30");
  CHECK(render({.hit = true, .forward = Forward::stale, .forward_status = 304, .ttl = seconds(60)}, buffer) ==
        "Vignette; fwd=stale; fwd-status=304; ttl=60");
  CHECK(render({.forward = Forward::uri_miss, .forward_status = 200, .stored = true, .collapsed = true},
               buffer) == "Vignette; fwd=uri-miss; fwd-status=200; stored; collapsed");
  CHECK(render({.forward = Forward::bypass, .detail = to_string(Reason::set_cookie)}, buffer) ==
        "Vignette; fwd=bypass; detail=set-cookie");
  CHECK(render({.hit = true, .ttl = seconds(-5), .key = "h/a\"b"}, buffer) ==
        "Vignette; hit; ttl=-5; key=\"h/a\\\"b\"");
  CHECK(render({.hit = true, .key = std::string_view("h/a\nv")}, buffer) == "Vignette; hit");
  const std::string longest(kCacheStatusBytes, 'k');
  CHECK(render({.hit = true, .key = longest}, buffer) == "Vignette; hit");
}
