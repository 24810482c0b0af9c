// Dates, ranges, Cache-Control, Accept, conditional requests.
#include <catch2/catch.hpp>

#include <memory>

#include "http/accept.h"
#include "http/cache_control.h"
#include "http/conditional.h"
#include "http/date.h"
#include "http/range.h"

using namespace vignette::http;
using std::chrono::seconds;

namespace {

HttpDate at(std::int64_t time) { return HttpDate(seconds(time)); }

FieldList list(std::initializer_list<std::pair<FieldId, std::string_view>> lines) {
  FieldList fields;
  for (const auto& [id, value] : lines) fields.add(id, value);
  return fields;
}

RequestHead request(Method method, std::initializer_list<std::pair<FieldId, std::string_view>> lines) {
  RequestHead head;
  head.method = method;
  head.fields = list(lines);
  return head;
}

}  // namespace

TEST_CASE("The three date forms of RFC 9110 give the same time") {
  CHECK(parse_date("Sun, 06 Nov 1994 08:49:37 GMT") == at(784111777));
  CHECK(parse_date("Sunday, 06-Nov-94 08:49:37 GMT") == at(784111777));
  CHECK(parse_date("Sun Nov  6 08:49:37 1994") == at(784111777));
  CHECK(parse_date("Sun Nov 16 08:49:37 1994") == at(784111777 + 864000));
  CHECK(format_date(at(784111777)) == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(parse_date("Thu, 01 Jan 1970 00:00:00 GMT") == at(0));
  CHECK(parse_date("Sat, 31 Dec 2016 23:59:60 GMT") == parse_date("Sat, 31 Dec 2016 23:59:59 GMT"));
}

TEST_CASE("A two-digit year more than 50 years ahead belongs to the past century") {
  const HttpDate now = *parse_date("Wed, 01 May 2024 00:00:00 GMT");
  CHECK(parse_date("Sunday, 06-Nov-94 08:49:37 GMT", now) == at(784111777));
  CHECK(format_date(*parse_date("Friday, 01-May-74 00:00:00 GMT", now)).substr(12, 4) == "2074");
  CHECK(format_date(*parse_date("Friday, 01-May-75 00:00:00 GMT", now)).substr(12, 4) == "1975");
}

TEST_CASE("Malformed and impossible dates are not dates") {
  for (const char* text :
       {"", "0", "-1", "Sun", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 06 Nov 0000 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994", "Xyz, 06 Nov 1994 08:49:37 GMT"}) {
    INFO(text);
    CHECK_FALSE(parse_date(text));
  }
}

TEST_CASE("Every day's date survives formatting and parsing") {
  for (std::int64_t day = -20000; day < 40000; day += 7) {
    const HttpDate time = at(day * 86400 + (day * 7919) % 86400);
    REQUIRE(parse_date(format_date(time)) == time);
  }
}

TEST_CASE("A single byte range is resolved against the length") {
  const auto part = [](std::string_view value, std::uint64_t length, std::uint64_t first,
                       std::uint64_t last) {
    const RangeAnswer answer = parse_range(value, length);
    return answer.kind == RangeAnswer::Kind::part && answer.range == ByteRange{first, last};
  };
  CHECK(part("bytes=0-4", 10, 0, 4));
  CHECK(part("Bytes=0-99", 10, 0, 9));
  CHECK(part("bytes=5-", 10, 5, 9));
  CHECK(part("bytes=-3", 10, 7, 9));
  CHECK(part("bytes=-30", 10, 0, 9));
  CHECK(part("bytes=9-9", 10, 9, 9));
  CHECK(part("bytes=0-99999999999999999999999", 10, 0, 9));
}

TEST_CASE("Ranges behind the end cannot be satisfied; malformed and several ranges mean the whole") {
  for (const char* value : {"bytes=10-", "bytes=10-12", "bytes=-0", "bytes=99999999999999999999999-"}) {
    CHECK(parse_range(value, 10).kind == RangeAnswer::Kind::unsatisfiable);
  }
  CHECK(parse_range("bytes=0-", 0).kind == RangeAnswer::Kind::unsatisfiable);
  CHECK(parse_range("bytes=-5", 0).kind == RangeAnswer::Kind::unsatisfiable);
  for (const char* value : {"", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=a-b", "bytes=0-1,3-4",
                            "items=0-1", "bytes=0-1x", "bytes=+0-1", "bytes= 0 - 1", "bytes=0--1", "0-1"}) {
    INFO(value);
    CHECK(parse_range(value, 10).kind == RangeAnswer::Kind::whole);
  }
}

TEST_CASE("Content-Range is written and read") {
  char out[kContentRangeBytes];
  const std::span<char, kContentRangeBytes> span(out);
  CHECK(std::string_view(out, format_content_range({0, 9}, 1234, span)) == "bytes 0-9/1234");
  CHECK(std::string_view(out, format_unsatisfied_range(1234, span)) == "bytes */1234");
  const std::uint64_t big = ~std::uint64_t{0};
  CHECK(format_content_range({big, big}, big, span) <= kContentRangeBytes);
  const auto read = parse_content_range("bytes 0-9/1234");
  REQUIRE(read);
  CHECK(read->range == ByteRange{0, 9});
  CHECK(read->length == 1234u);
  CHECK_FALSE(parse_content_range("bytes 0-9/*")->length);
  CHECK_FALSE(parse_content_range("bytes */5")->range);
  for (const char* value : {"", "bytes", "bytes 0-9", "bytes 9-0/10", "bytes 0-10/10", "bytes */*",
                            "bytes 0-9/x", "items 0-9/10", "bytes -9/10"}) {
    INFO(value);
    CHECK_FALSE(parse_content_range(value));
  }
}

TEST_CASE("If-Range needs a strong match") {
  const HttpDate modified = at(1000);
  CHECK(if_range_holds("", "", {}, {}));
  CHECK(if_range_holds("\"a\"", "\"a\"", {}, {}));
  CHECK_FALSE(if_range_holds("W/\"a\"", "W/\"a\"", {}, {}));
  CHECK_FALSE(if_range_holds("\"a\"", "", {}, {}));
  CHECK(if_range_holds(format_date(modified), "", modified, at(1001)));
  CHECK_FALSE(if_range_holds(format_date(modified), "", modified, at(1000)));
  CHECK_FALSE(if_range_holds(format_date(at(1001)), "", modified, at(5000)));
  CHECK_FALSE(if_range_holds("garbage", "\"garbage\"", modified, at(5000)));
}

TEST_CASE("Response directives are read tolerantly") {
  const ResponseDirectives d = response_directives(list(
      {{FieldId::cache_control, "Public, max-age=\"60\" , s-maxage=99999999999999, unknown=\"a, no-store\""},
       {FieldId::cache_control,
        ",,stale-while-revalidate=5,stale-if-error=6,immutable,must-revalidate,max-age=1"}}));
  CHECK(d.present);
  CHECK(d.public_);
  CHECK(d.immutable);
  CHECK(d.must_revalidate);
  CHECK_FALSE(d.no_store);
  CHECK(d.max_age == seconds(60));
  CHECK(d.s_maxage == kMaxDeltaSeconds);
  CHECK(d.stale_while_revalidate == seconds(5));
  CHECK(d.stale_if_error == seconds(6));
}

TEST_CASE("no-cache and private may name fields, a broken lifetime means stale") {
  ResponseDirectives d;
  add_response_directives("no-cache=\"set-cookie, x\", private, proxy-revalidate, must-understand, no-store",
                          d);
  CHECK_FALSE(d.no_cache);
  CHECK(d.no_cache_fields == "set-cookie, x");
  CHECK(d.private_);
  CHECK(d.proxy_revalidate);
  CHECK(d.must_understand);
  CHECK(d.no_store);
  for (const char* value :
       {"max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age=x", "max-age=\"\""}) {
    INFO(value);
    ResponseDirectives broken;
    add_response_directives(value, broken);
    CHECK(broken.max_age == seconds(0));
  }
}

TEST_CASE("Targeted fields are read on their own") {
  const FieldList fields = list({{FieldId::cache_control, "no-store"},
                                 {FieldId::cdn_cache_control, "max-age=5"},
                                 {FieldId::surrogate_control, "max-age=7;edge, no-store-remote"}});
  CHECK(response_directives(fields, FieldId::cdn_cache_control).max_age == seconds(5));
  CHECK_FALSE(response_directives(fields, FieldId::cdn_cache_control).no_store);
  CHECK(response_directives(fields, FieldId::surrogate_control).max_age == seconds(7));
  CHECK(response_directives(fields, FieldId::surrogate_control).no_store_remote);
  CHECK_FALSE(response_directives(FieldList(), FieldId::cache_control).present);
}

TEST_CASE("Request directives are read, with Pragma only in the absence of Cache-Control") {
  const RequestDirectives d = request_directives(
      list({{FieldId::cache_control, "no-cache, max-stale, min-fresh=3, only-if-cached, max-age=0"}}));
  CHECK(d.no_cache);
  CHECK(d.any_stale);
  CHECK_FALSE(d.max_stale);
  CHECK(d.min_fresh == seconds(3));
  CHECK(d.only_if_cached);
  CHECK(d.max_age == seconds(0));
  CHECK(request_directives(list({{FieldId::pragma, "No-Cache"}})).no_cache);
  CHECK_FALSE(request_directives(list({{FieldId::pragma, "no-cache"}, {FieldId::cache_control, "max-age=1"}}))
                  .no_cache);
}

TEST_CASE("Accept keeps listed types, type ranges and */* apart") {
  const auto quality_in = [](std::string_view accepted, std::string_view type) {
    return quality(list({{FieldId::accept, accepted}}), type);
  };
  const TypeQuality chrome =
      quality_in("image/avif,image/webp,image/apng,image/*;q=0.8,*/*;q=0.5", "image/webp");
  CHECK(chrome.explicitly_accepted());
  CHECK(chrome.listed == 1000);
  CHECK(chrome.type_range == 800);
  CHECK(chrome.any == 500);
  CHECK(quality_in("image/*;q=0.8, */*", "image/webp").effective() == 800);
  CHECK_FALSE(quality_in("image/*, */*", "image/webp").explicitly_accepted());
  CHECK_FALSE(quality_in("image/webp;q=0", "image/webp").explicitly_accepted());
  CHECK(quality_in("Image/WebP;level=1;Q=0.25", "image/webp").listed == 250);
  CHECK(quality_in("text/html", "image/webp").effective() == 0);
  CHECK(quality(FieldList(), "image/webp").effective() == 1000);
  for (const char* value : {"image/webp;q=2", "image/webp;q=1.001", "image/webp;q=-1",
                            "image/webp;q=", "image/webp;q=0.1234", "image/webp;q=a"}) {
    INFO(value);
    CHECK_FALSE(quality_in(value, "image/webp").listed);
  }
}

TEST_CASE("Accept-Encoding gives each coding its quality, and comes down to those we know") {
  const auto fields = [](std::string_view value) { return list({{FieldId::accept_encoding, value}}); };
  CHECK(encoding_quality(fields("gzip;q=0.5, br"), "gzip") == 500);
  CHECK(encoding_quality(fields("*;q=0.3"), "br") == 300);
  CHECK(encoding_quality(fields("gzip"), "br") == 0);
  CHECK(encoding_quality(fields("gzip"), "identity") == 1000);
  CHECK(encoding_quality(fields("identity;q=0"), "identity") == 0);
  CHECK(encoding_quality(fields("gzip, *;q=0"), "identity") == 0);
  const auto codings = [](const FieldList& request) {
    std::string out;
    append_accepted_codings(request, out);
    return out;
  };
  CHECK(codings(fields("zstd, gzip;q=0.1, deflate, br")) == "zstd,br,gzip");
  CHECK(codings(fields("x-gzip")) == "gzip");
  CHECK(codings(fields("*")) == "zstd,br,gzip");
  CHECK(codings(fields("*, br;q=0")) == "zstd,gzip");
  CHECK(codings(fields("gzip;q=0, deflate")).empty());
  CHECK(codings(FieldList()).empty());
  CHECK(codings(fields("")).empty());
  CHECK(codings(fields("identity;q=0, *;q=0")).empty());
  CHECK(codings(fields("identity;q=0, gzip")) == "gzip");
}

TEST_CASE(
    "Accepted codings come in the order of the client, and what they come down to says the same again") {
  const auto codings = [](std::string_view value) {
    std::string out;
    append_accepted_codings(list({{FieldId::accept_encoding, value}}), out);
    return out;
  };
  CHECK(codings("br;q=0.5, gzip") == "gzip,br;q=0.9");
  CHECK(codings("zstd;q=0.1, br;q=0.2, gzip;q=0.3") == "gzip,br;q=0.9,zstd;q=0.8");
  CHECK(codings("*;q=0.5, br") == "br,zstd;q=0.9,gzip;q=0.8");
  CHECK(codings("identity, gzip;q=0.5, br") == "br");
  CHECK(codings("identity;q=0.5, gzip;q=0.5") == "gzip");
  for (const char* value : {"br;q=0.5, gzip", "gzip;q=0.3, zstd;q=0.2, br;q=0.1", "gzip, br;q=0.5, zstd"}) {
    CHECK(codings(codings(value)) == codings(value));
  }
  CHECK(parse_coding("X-GZip") == Coding::gzip);
  CHECK(parse_coding("Zstd") == Coding::zstd);
  CHECK_FALSE(parse_coding("deflate"));
  CHECK_FALSE(parse_coding(""));
}

TEST_CASE("Entity tags are parsed and compared strongly and weakly") {
  CHECK(parse_etag("\"a\"")->opaque == "\"a\"");
  CHECK(parse_etag("W/\"a\"")->weak);
  CHECK(parse_etag("\"\""));
  for (const char* text : {"", "a", "\"a", "a\"", "w/\"a\"", "W/a", "\"a\"b", "\"a b\"", "W/", "\""}) {
    INFO(text);
    CHECK_FALSE(parse_etag(text));
  }
  CHECK(weakly_equal(*parse_etag("W/\"a\""), *parse_etag("\"a\"")));
  CHECK_FALSE(strongly_equal(*parse_etag("W/\"a\""), *parse_etag("W/\"a\"")));
}

TEST_CASE("Preconditions are evaluated in the order of RFC 9110") {
  const Representation ours{"\"a\"", at(1000), true};
  const std::string same = format_date(at(1000));
  const std::string older = format_date(at(999));
  const auto get = [&](std::initializer_list<std::pair<FieldId, std::string_view>> lines) {
    return evaluate_preconditions(request(Method::get, lines), ours);
  };
  CHECK(get({}) == Precondition::proceed);
  CHECK(get({{FieldId::if_none_match, "\"x\", W/\"a\""}}) == Precondition::not_modified);
  CHECK(get({{FieldId::if_none_match, "\"x\""}, {FieldId::if_none_match, "\"a\""}}) ==
        Precondition::not_modified);
  CHECK(get({{FieldId::if_none_match, "*"}}) == Precondition::not_modified);
  CHECK(get({{FieldId::if_none_match, "\"x\""}, {FieldId::if_modified_since, same}}) ==
        Precondition::proceed);
  CHECK(get({{FieldId::if_none_match, "\"a,b\", \"c\\\""}}) == Precondition::proceed);
  CHECK(get({{FieldId::if_none_match, "garbage \"a\""}}) == Precondition::proceed);
  CHECK(get({{FieldId::if_modified_since, same}}) == Precondition::not_modified);
  CHECK(get({{FieldId::if_modified_since, older}}) == Precondition::proceed);
  CHECK(get({{FieldId::if_modified_since, "yesterday"}}) == Precondition::proceed);
  CHECK(get({{FieldId::if_match, "\"x\""}}) == Precondition::precondition_failed);
  CHECK(get({{FieldId::if_match, "W/\"a\""}}) == Precondition::precondition_failed);
  CHECK(get({{FieldId::if_match, "\"a\""}, {FieldId::if_unmodified_since, older}}) == Precondition::proceed);
  CHECK(get({{FieldId::if_unmodified_since, older}}) == Precondition::precondition_failed);
  CHECK(get({{FieldId::if_match, "\"a\""}, {FieldId::if_none_match, "\"a\""}}) == Precondition::not_modified);
  CHECK(evaluate_preconditions(request(Method::put, {{FieldId::if_none_match, "*"}}), ours) ==
        Precondition::precondition_failed);
  CHECK(evaluate_preconditions(request(Method::put, {{FieldId::if_match, "*"}}), {"", {}, false}) ==
        Precondition::precondition_failed);
  CHECK(evaluate_preconditions(request(Method::post, {{FieldId::if_modified_since, same}}), ours) ==
        Precondition::proceed);
}
