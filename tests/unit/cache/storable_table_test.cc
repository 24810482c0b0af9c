// What is stored, and for how long: status and fields in, lifetime or reason out.
#include <catch2/catch.hpp>
#include <iterator>

#include "table_support.h"

namespace vignette::cache {
namespace {

struct Row {
  int status;
  const char* response;
  const char* request;
  const char* decision;  // seconds of lifetime when stored, else the reason
};

std::string decide(const Row& row, const CachePolicy& policy) {
  INFO(row.status << " " << row.response << " / " << row.request);
  const Fields response_fields(row.response);
  const Fields request_fields(row.request);
  const http::ResponseHead response = response_of(row.status, response_fields);
  const RequestFacts facts = RequestFacts::of(request_of(request_fields));
  const Reason reason = decide_storable(facts, response, policy, kNow);
  if (reason != Reason::none) return std::string(to_string(reason));
  return std::to_string(freshness_lifetime(response, policy, kNow).seconds.count());
}

template <std::size_t N>
void run(const Row (&rows)[N], const CachePolicy& policy) {
  for (const Row& row : rows) {
    INFO(row.status << " " << row.response << " / " << row.request);
    CHECK(decide(row, policy) == row.decision);
  }
}

// As routes to servers are by default.
constexpr Row kExplicit[] = {
    // Cache-Control: lifetimes and how they are written
    {200, "Cache-Control: max-age=60", "", "60"},
    {200, "Cache-Control: MAX-AGE=60", "", "60"},
    {200, "Cache-Control: max-age=\"60\"", "", "60"},
    {200, "Cache-Control: max-age=060", "", "60"},
    {200, "Cache-Control:   max-age=60  ", "", "60"},
    {200, "Cache-Control: a=b, max-age=60", "", "60"},
    {200, "Cache-Control: a=\"max-age=9\", max-age=60", "", "60"},
    {200, "Cache-Control: a=\"x, max-age=9\", max-age=60", "", "60"},
    {200, "Cache-Control: max-age=60, a=\"x, max-age=9\"", "", "60"},
    {200, "Cache-Control: a | Cache-Control: max-age=60", "", "60"},
    {200, "Cache-Control: max-age=60, max-age=90", "", "60"},
    {200, "Cache-Control: max-age=2147483648", "", "2147483648"},
    {200, "Cache-Control: max-age=99999999999", "", "2147483648"},
    {200, "Cache-Control: max-age=60, s-maxage=90", "", "90"},
    {200, "Cache-Control: s-maxage=90, max-age=60", "", "90"},
    {200, "Cache-Control: s-maxage=90", "", "90"},
    {200, "Cache-Control: public, max-age=60", "", "60"},
    {200, "Cache-Control: immutable, max-age=60", "", "60"},
    {200, "Cache-Control: no-transform, max-age=60", "", "60"},
    {200, "Cache-Control: must-revalidate, max-age=60", "", "60"},
    {200, "Cache-Control: max-age=60, stale-while-revalidate=9", "", "60"},
    // what is no number, or none above zero, is no lifetime
    {200, "Cache-Control: max-age=0", "", "zero-lifetime"},
    {200, "Cache-Control: max-age=0 | ETag: \"a\"", "", "0"},
    {200, "Cache-Control: max-age=-1", "", "zero-lifetime"},
    {200, "Cache-Control: max-age=6.0", "", "zero-lifetime"},
    {200, "Cache-Control: max-age=a60", "", "zero-lifetime"},
    {200, "Cache-Control: max-age=60a", "", "zero-lifetime"},
    {200, "Cache-Control: max-age='60'", "", "zero-lifetime"},
    {200, "Cache-Control: max-age=", "", "zero-lifetime"},
    {200, "Cache-Control: max-age", "", "zero-lifetime"},
    {200, "Cache-Control: max-age=60, s-maxage=0", "", "zero-lifetime"},
    {200, "Cache-Control: s-maxage=x, max-age=60", "", "zero-lifetime"},
    {200, "Cache-Control: min-age=60", "", "no-freshness"},
    {200, "Cache-Control: ", "", "no-freshness"},
    {200, "", "", "no-freshness"},
    {200, "ETag: \"a\"", "", "no-freshness"},
    {200, "Last-Modified: @-1000", "", "no-freshness"},
    {200, "Pragma: no-cache | Cache-Control: max-age=60", "", "60"},
    // Expires counts where there is no max-age, from Date
    {200, "Date: @0 | Expires: @60", "", "60"},
    {200, "Expires: @60", "", "60"},
    {200, "Date: @-10 | Expires: @60", "", "70"},
    {200, "Date: @10 | Expires: @60", "", "50"},
    {200, "Date: nonsense | Expires: @60", "", "60"},
    {200, "Date: @0 | Expires: @0", "", "zero-lifetime"},
    {200, "Date: @0 | Expires: @-60", "", "zero-lifetime"},
    {200, "Date: @0 | Expires: 0", "", "zero-lifetime"},
    {200, "Date: @0 | Expires: -1", "", "zero-lifetime"},
    {200, "Date: @0 | Expires: Tue, 14 Nov 2023 22:14:20", "", "zero-lifetime"},
    {200, "Date: @0 | Expires: Tuesday, 14-Nov-23 22:14:20 GMT", "", "60"},
    {200, "Date: @0 | Expires: Tue Nov 14 22:14:20 2023", "", "60"},
    {200, "Date: @0 | Expires: @-60 | ETag: \"a\"", "", "0"},
    {200, "Date: @0 | Expires: @60 | Cache-Control: max-age=9", "", "9"},
    {200, "Date: @0 | Expires: @-60 | Cache-Control: max-age=9", "", "9"},
    {200, "Date: @0 | Expires: @60 | Cache-Control: max-age=0", "", "zero-lifetime"},
    {200, "Date: @0 | Expires: @60 | Cache-Control: public", "", "60"},
    // what forbids
    {200, "Cache-Control: no-store", "", "no-store"},
    {200, "Cache-Control: no-store, max-age=60", "", "no-store"},
    {200, "Cache-Control: No-Store | Expires: @60", "", "no-store"},
    {200, "Cache-Control: max-age=60 | Cache-Control: no-store", "", "no-store"},
    {200, "Cache-Control: a=\"no-store\", max-age=60", "", "60"},
    {200, "Cache-Control: private", "", "private"},
    {200, "Cache-Control: private, max-age=60", "", "private"},
    {200, "Cache-Control: private=\"x-a\", max-age=60", "", "private"},
    {200, "Cache-Control: private, s-maxage=60", "", "private"},
    {200, "Cache-Control: no-cache, max-age=60", "", "zero-lifetime"},
    {200, "Cache-Control: no-cache, max-age=60 | ETag: \"a\"", "", "60"},
    {200, "Cache-Control: no-cache | ETag: \"a\"", "", "0"},
    {200, "Cache-Control: no-cache | Last-Modified: @-9", "", "0"},
    {200, "Cache-Control: no-cache=\"set-cookie\", max-age=60", "", "zero-lifetime"},
    {200, "Cache-Control: max-age=60 | Set-Cookie: a=b", "", "set-cookie"},
    {200, "Cache-Control: max-age=60 | Vary: *", "", "vary-star"},
    {200, "Cache-Control: max-age=60 | Vary: a, *", "", "vary-star"},
    {200, "Cache-Control: max-age=60 | Vary: a | Vary: *", "", "vary-star"},
    {200, "Cache-Control: max-age=60 | Vary: accept-encoding", "", "60"},
    {200, "Cache-Control: max-age=60 | Vary: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "", "vary-limit"},
    // must-understand
    {200, "Cache-Control: must-understand, no-store, max-age=60", "", "60"},
    {200, "Cache-Control: must-understand, max-age=60", "", "60"},
    {299, "Cache-Control: must-understand, no-store, max-age=60", "", "must-understand"},
    {299, "Cache-Control: must-understand, max-age=60", "", "must-understand"},
    // targeted fields go first, as a whole
    {200, "CDN-Cache-Control: max-age=5 | Cache-Control: max-age=60", "", "5"},
    {200, "CDN-Cache-Control: max-age=5 | Cache-Control: no-store", "", "5"},
    {200, "CDN-Cache-Control: max-age=5 | Cache-Control: private", "", "5"},
    {200, "CDN-Cache-Control: no-store | Cache-Control: max-age=60", "", "no-store"},
    {200, "CDN-Cache-Control: private | Cache-Control: max-age=60", "", "private"},
    {200, "CDN-Cache-Control: max-age=0 | Cache-Control: max-age=60", "", "zero-lifetime"},
    {200, "CDN-Cache-Control: public | Cache-Control: max-age=60", "", "no-freshness"},
    {200, "CDN-Cache-Control: public | Expires: @60", "", "no-freshness"},
    {200, "CDN-Cache-Control: max-age=5 | Expires: @60", "", "5"},
    {200, "CDN-Cache-Control: s-maxage=7, max-age=5", "", "7"},
    {200, "Surrogate-Control: max-age=7 | Cache-Control: max-age=60", "", "7"},
    {200, "Surrogate-Control: max-age=7 | Cache-Control: no-store", "", "7"},
    {200, "Surrogate-Control: max-age=7;edge", "", "7"},
    {200, "Surrogate-Control: no-store | Cache-Control: max-age=60", "", "no-store"},
    {200, "Surrogate-Control: no-store-remote, max-age=7", "", "no-store"},
    {200, "Surrogate-Control: content=\"ESI/1.0\" | Cache-Control: max-age=60", "", "no-freshness"},
    {200, "CDN-Cache-Control: max-age=5 | Surrogate-Control: max-age=7", "", "5"},
    // any final status may have a lifetime of its own
    {201, "Cache-Control: max-age=60", "", "60"},
    {203, "Cache-Control: max-age=60", "", "60"},
    {204, "Cache-Control: max-age=60", "", "60"},
    {299, "Cache-Control: max-age=60", "", "60"},
    {301, "Cache-Control: max-age=60", "", "60"},
    {302, "Cache-Control: max-age=60", "", "60"},
    {307, "Expires: @60", "", "60"},
    {308, "Cache-Control: max-age=60", "", "60"},
    {400, "Cache-Control: max-age=60", "", "60"},
    {403, "Cache-Control: max-age=60", "", "60"},
    {404, "Cache-Control: max-age=60", "", "60"},
    {410, "Cache-Control: max-age=60", "", "60"},
    {500, "Cache-Control: max-age=60", "", "60"},
    {503, "Cache-Control: max-age=60", "", "60"},
    {599, "Cache-Control: max-age=60", "", "60"},
    {404, "", "", "no-freshness"},
    {500, "", "", "no-freshness"},
    // but for these
    {206, "Cache-Control: max-age=60", "", "partial"},
    {304, "Cache-Control: max-age=60", "", "status"},
    {412, "Cache-Control: max-age=60", "", "status"},
    {416, "Cache-Control: max-age=60", "", "status"},
    {199, "Cache-Control: max-age=60", "", "status"},
    {600, "Cache-Control: max-age=60", "", "status"},
    // Authorization (RFC 9111 section 3.5)
    {200, "Cache-Control: max-age=60", "Authorization: x", "authorization"},
    {200, "Expires: @60", "Authorization: x", "authorization"},
    {200, "Cache-Control: public, max-age=60", "Authorization: x", "60"},
    {200, "Cache-Control: must-revalidate, max-age=60", "Authorization: x", "60"},
    {200, "Cache-Control: s-maxage=60", "Authorization: x", "60"},
    {200, "Cache-Control: proxy-revalidate, max-age=60", "Authorization: x", "authorization"},
    {200, "CDN-Cache-Control: max-age=60 | Cache-Control: public", "Authorization: x", "authorization"},
    {200, "Cache-Control: private, s-maxage=60", "Authorization: x", "private"},
    // the rest of the request
    {200, "Cache-Control: max-age=60", "Cookie: a=b", "60"},
    {200, "Cache-Control: max-age=60", "Cache-Control: no-store", "60"},
    {200, "Cache-Control: max-age=60", "Cache-Control: no-cache", "60"},
    {200, "Cache-Control: max-age=60", "Range: bytes=0-1", "60"},
    {404, "Cache-Control: max-age=60", "Range: bytes=0-1", "request-range"},
};

// cache = "on": heuristics, and validators alone.
constexpr Row kOn[] = {
    {200, "Date: @0 | Last-Modified: @-1000", "", "100"},
    {200, "Last-Modified: @-1000", "", "100"},
    {200, "Date: @-100 | Last-Modified: @-1000", "", "90"},
    {200, "Date: @0 | Last-Modified: @-100000000", "", "86400"},
    {200, "Date: @0 | Last-Modified: @-864000", "", "86400"},
    {200, "Date: @0 | Last-Modified: @-863990", "", "86399"},
    {200, "Date: @0 | Last-Modified: @-9", "", "0"},
    {200, "Date: @0 | Last-Modified: @9", "", "0"},
    {200, "Date: @0 | Last-Modified: nonsense", "", "no-freshness"},
    {200, "Date: @0 | Last-Modified: @-1000 | Cache-Control: max-age=7", "", "7"},
    {200, "Date: @0 | Last-Modified: @-1000 | Expires: @7", "", "7"},
    {200, "Date: @0 | Last-Modified: @-1000 | Expires: 0", "", "0"},
    {200, "Date: @0 | Last-Modified: @-1000 | Cache-Control: no-store", "", "no-store"},
    {200, "Date: @0 | Last-Modified: @-1000 | CDN-Cache-Control: public", "", "100"},
    {203, "Date: @0 | Last-Modified: @-1000", "", "100"},
    {204, "Date: @0 | Last-Modified: @-1000", "", "100"},
    {300, "Date: @0 | Last-Modified: @-1000", "", "100"},
    {301, "Date: @0 | Last-Modified: @-1000", "", "100"},
    {308, "Date: @0 | Last-Modified: @-1000", "", "100"},
    {404, "Date: @0 | Last-Modified: @-1000", "", "100"},
    {405, "Date: @0 | Last-Modified: @-1000", "", "100"},
    {410, "Date: @0 | Last-Modified: @-1000", "", "100"},
    {414, "Date: @0 | Last-Modified: @-1000", "", "100"},
    {501, "Date: @0 | Last-Modified: @-1000", "", "100"},
    {201, "Date: @0 | Last-Modified: @-1000", "", "no-freshness"},
    {302, "Date: @0 | Last-Modified: @-1000", "", "no-freshness"},
    {307, "Date: @0 | Last-Modified: @-1000", "", "no-freshness"},
    {403, "Date: @0 | Last-Modified: @-1000", "", "no-freshness"},
    {500, "Date: @0 | Last-Modified: @-1000", "", "no-freshness"},
    {502, "Date: @0 | Last-Modified: @-1000", "", "no-freshness"},
    {503, "Date: @0 | Last-Modified: @-1000", "", "no-freshness"},
    {504, "Date: @0 | Last-Modified: @-1000", "", "no-freshness"},
    {599, "Date: @0 | Last-Modified: @-1000", "", "no-freshness"},
    {599, "Date: @0 | Last-Modified: @-1000 | Cache-Control: public", "", "100"},
    {302, "Date: @0 | Last-Modified: @-1000 | Cache-Control: public", "", "100"},
    {200, "ETag: \"a\"", "", "0"},
    {200, "ETag: W/\"a\"", "", "0"},
    {302, "ETag: \"a\"", "", "no-freshness"},
    {200, "", "", "no-freshness"},
};

// s3, directories and images: a day where the origin is silent.
constexpr Row kMedia[] = {
    {200, "", "", "86400"},
    {200, "Last-Modified: @-1000", "", "86400"},
    {200, "Cache-Control: max-age=60", "", "60"},
    {200, "Cache-Control: no-cache | ETag: \"a\"", "", "86400"},
    {200, "Cache-Control: no-store", "", "no-store"},
    {200, "Expires: 0", "", "zero-lifetime"},
    {301, "", "", "86400"},
    {302, "", "", "no-freshness"},
    {403, "", "", "no-freshness"},
    {404, "", "", "10"},
    {410, "", "", "10"},
    {404, "Cache-Control: max-age=60", "", "60"},
    {404, "Cache-Control: no-store", "", "no-store"},
    {500, "", "", "1"},
    {503, "", "", "1"},
    {501, "", "", "86400"},
};

// cache = { min_ttl = "30s", max_ttl = "300s", negative_ttl = "40s", obey_client, store_set_cookie = true }
constexpr Row kBounded[] = {
    {200, "Cache-Control: max-age=0", "", "30"},
    {200, "Cache-Control: max-age=29", "", "30"},
    {200, "Cache-Control: max-age=31", "", "31"},
    {200, "Cache-Control: max-age=299", "", "299"},
    {200, "Cache-Control: max-age=301", "", "300"},
    {200, "Cache-Control: s-maxage=0", "", "30"},
    {200, "Expires: 0", "", "30"},
    {200, "Expires: @10000", "", "300"},
    {200, "Cache-Control: no-cache, max-age=0", "", "zero-lifetime"},
    {200, "Cache-Control: no-store, max-age=0", "", "no-store"},
    {200, "Cache-Control: private", "", "private"},
    {200, "", "", "no-freshness"},
    {200, "ETag: \"a\"", "", "no-freshness"},
    {404, "", "", "40"},
    {410, "", "", "40"},
    {404, "Cache-Control: max-age=60", "", "60"},
    {500, "", "", "no-freshness"},
    {200, "Cache-Control: max-age=60 | Set-Cookie: a=b", "", "60"},
    {200, "Cache-Control: max-age=60", "Cache-Control: no-store", "request-no-store"},
    {200, "Cache-Control: max-age=60", "Cache-Control: no-cache", "60"},
};

static_assert(std::size(kExplicit) + std::size(kOn) + std::size(kMedia) + std::size(kBounded) >= 200);

}  // namespace

TEST_CASE("what servers send is stored for as long as they say, or for a reason not") {
  run(kExplicit, policy_of(CacheMode::explicit_only));
}

TEST_CASE("nothing is stored where the cache is off") {
  for (const Row& row : kExplicit) CHECK(decide(row, policy_of(CacheMode::off)) == "cache-off");
}

TEST_CASE("mode on adds heuristics and validators where RFC 9111 allows them") {
  run(kOn, policy_of(CacheMode::on));
  // What has a lifetime of its own has the same one.
  for (const Row& row : kExplicit) {
    const std::string decision = row.decision;
    if (decision == "no-freshness") continue;
    INFO(row.status << " " << row.response << " / " << row.request);
    CHECK(decide(row, policy_of(CacheMode::on)) == decision);
  }
}

TEST_CASE("stores of photos have lifetimes where they are silent") { run(kMedia, media_policy()); }

TEST_CASE("a route bounds lifetimes without overruling what forbids") {
  CachePolicy policy;
  policy.min_ttl = std::chrono::seconds(30);
  policy.max_ttl = std::chrono::seconds(300);
  policy.not_found_ttl = std::chrono::seconds(40);
  policy.obey_request = policy.store_set_cookie = true;
  run(kBounded, policy);
}

}  // namespace vignette::cache
