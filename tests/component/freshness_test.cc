// How long answers are kept, by what their origins say: each row asks twice, and says what comes of the
// second. What has to be old arrives with an Age, so no test waits for time to pass.
#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "http/date.h"
#include "tests/component/scene.h"

using namespace vignette;
using namespace vignette::test;
using namespace std::string_literals;

namespace {

bool has(const RawResponse& answer, std::string_view words) {
  return answer.field("cache-status").find(words) != std::string::npos;
}

// @60 is the date a minute from now.
std::string with_dates(std::string lines) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  for (std::size_t at = lines.find('@'); at != lines.npos; at = lines.find('@', at + 1)) {
    std::size_t used = 0;
    const int offset = std::stoi(lines.substr(at + 1), &used);
    lines.replace(at, used + 1, http::format_date(now + std::chrono::seconds(offset)));
  }
  return lines;
}

struct Row {
  const char* lines;   // of the answer, LF between them
  const char* second;  // in Cache-Status of the second answer
  int status = 200;
};

// Answers /N with row N.
template <std::size_t N>
ScriptedOrigin::Script rows(const Row (&table)[N]) {
  return [&table](const OriginCall& call, const ScriptedOrigin::Send& send) {
    const Row& row = table[std::stoul(call.target.substr(1))];
    std::string lines;
    for (char c : with_dates(row.lines)) lines += c == '\n' ? "\r\n"s : std::string(1, c);
    return send(ScriptedOrigin::answer(row.status, lines + "\r\n", "x"));
  };
}

template <std::size_t N>
void ask_twice(const Row (&table)[N], std::string_view route, std::string_view request = "") {
  Scene scene(rows(table), route);
  RawClient client = scene.client();
  for (std::size_t i = 0; i < N; ++i) {
    INFO(table[i].status << " " << table[i].lines);
    CHECK(client.fetch("/" + std::to_string(i), request).status == table[i].status);
    const RawResponse second = client.fetch("/" + std::to_string(i), request);
    INFO(second.field("cache-status"));
    CHECK(second.status == table[i].status);
    CHECK(has(second, table[i].second));
    CHECK(second.field("surrogate-control").empty());
  }
}

constexpr Row kKept[] = {
    {"Cache-Control: max-age=60", "Vignette; hit"},
    {"Cache-Control: max-age=1, s-maxage=60\nAge: 10", "Vignette; hit"},
    {"Cache-Control: max-age=60, s-maxage=1\nAge: 10", "fwd=stale"},
    {"Expires: @60", "Vignette; hit"},
    {"Date: @-10\nExpires: @60", "Vignette; hit"},
    {"Expires: @-60\nETag: \"a\"", "fwd=stale"},
    {"Expires: 0\nETag: \"a\"", "fwd=stale"},
    {"Expires: @60\nCache-Control: max-age=1\nAge: 10", "fwd=stale"},
    {"Cache-Control: max-age=60\nAge: 59, 0", "Vignette; hit"},
    {"Cache-Control: max-age=60\nAge: 61", "fwd=stale"},
    {"Cache-Control: max-age=60\nAge: 61.5", "fwd=stale"},
    {"Cache-Control: max-age=60\nAge: x", "Vignette; hit"},
    {"Cache-Control: max-age=60\nDate: @-100", "fwd=stale"},
    {"Cache-Control: max-age=60\nDate: @100", "Vignette; hit"},
    {"CDN-Cache-Control: max-age=60\nCache-Control: no-store", "Vignette; hit"},
    {"CDN-Cache-Control: no-store\nCache-Control: max-age=60", "detail=no-store"},
    {"CDN-Cache-Control: max-age=60\nSurrogate-Control: no-store", "Vignette; hit"},
    {"Surrogate-Control: max-age=60\nCache-Control: private", "Vignette; hit"},
    {"Surrogate-Control: no-store\nCache-Control: max-age=60", "detail=no-store"},
    {"Cache-Control: private=\"x-a\", max-age=60", "detail=private"},
    {"Cache-Control: no-cache=\"x-a\", max-age=60\nETag: \"a\"", "fwd=stale"},
    {"Cache-Control: must-understand, no-store, max-age=60", "Vignette; hit"},
    {"Cache-Control: must-understand, max-age=60", "detail=must-understand", 299},
    {"Cache-Control: immutable, max-age=60", "Vignette; hit"},
    {"Cache-Control: max-age=60, proxy-revalidate", "Vignette; hit"},
    {"Cache-Control: max-age=60", "Vignette; hit", 404},
    {"Cache-Control: max-age=60", "Vignette; hit", 302},
    {"Cache-Control: max-age=60\nSet-Cookie: a=b", "detail=set-cookie"},
    {"Cache-Control: max-age=0", "detail=zero-lifetime"},
    {"Last-Modified: @-1000", "detail=no-freshness"},
};

constexpr Row kGuessed[] = {
    {"Last-Modified: @-1000", "Vignette; hit"},
    {"Last-Modified: @-1000\nAge: 101", "fwd=stale"},
    {"Last-Modified: @-1000", "Vignette; hit", 301},
    {"Last-Modified: @-1000", "Vignette; hit", 308},
    {"Last-Modified: @-1000", "Vignette; hit", 404},
    {"Last-Modified: @-1000", "Vignette; hit", 410},
    {"Last-Modified: @-1000", "detail=no-freshness", 302},
    {"Last-Modified: @-1000", "detail=no-freshness", 403},
    {"Last-Modified: @-1000\nCache-Control: public", "Vignette; hit", 599},
    {"ETag: \"a\"", "fwd=stale"},
    {"X: 1", "detail=no-freshness"},
};

constexpr Row kAuthorized[] = {
    {"Cache-Control: max-age=60", "detail=authorization"},
    {"Cache-Control: public, max-age=60", "Vignette; hit"},
    {"Cache-Control: must-revalidate, max-age=60", "Vignette; hit"},
    {"Cache-Control: s-maxage=60", "Vignette; hit"},
    {"CDN-Cache-Control: max-age=60\nCache-Control: public", "detail=authorization"},
};

}  // namespace

TEST_CASE("An answer is kept for as long as its fields say") { ask_twice(kKept, ""); }

TEST_CASE("A route with its cache on guesses where RFC 9111 lets it") {
  ask_twice(kGuessed, "cache = \"on\"");
}

TEST_CASE("Answers to authorized requests are shared when their directives say so") {
  ask_twice(kAuthorized, "", "Authorization: Basic YQ==\r\n");
}

TEST_CASE("A hit keeps the Date of its origin, and gets one where that gave none") {
  const std::string old = "Sun, 06 Nov 1994 08:49:37 GMT";
  Scene scene([&](const OriginCall& call, const ScriptedOrigin::Send& send) {
    const std::string date = call.target == "/dated" ? "Date: " + old + "\r\n" : "";
    return send(ScriptedOrigin::answer(200, date + "CDN-Cache-Control: max-age=2000000000\r\n", "x"));
  });
  RawClient client = scene.client();
  for (int i = 0; i < 2; ++i) {
    const RawResponse answer = client.fetch("/dated");
    CHECK(answer.field("date") == old);
    CHECK(answer.head.find("Date: ") == answer.head.rfind("Date: "));
  }
  CHECK(scene.origin.calls() == 1);
  const std::string first = client.fetch("/undated").field("date");
  CHECK(http::parse_date(first).has_value());
  CHECK(client.fetch("/undated").field("date") == first);
}

TEST_CASE("A 304 freshens the stored head: new fields, a new lifetime, the same bytes and entity tag") {
  Scene scene([](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.number == 1) {
      return send(ScriptedOrigin::answer(200,
                                         "Cache-Control: max-age=1\r\nAge: 50\r\nETag: \"v1\"\r\nX-A: "
                                         "1\r\nX-B: 1\r\nContent-Type: text/a\r\n",
                                         "body"));
    }
    return send(
        "HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\nETag: \"v2\"\r\nX-A: 2\r\nContent-Type: "
        "text/b\r\n"
        "Content-Encoding: br\r\n\r\n");
  });
  RawClient client = scene.client();
  CHECK(client.fetch("/a").field("x-a") == "1");
  for (int i = 0; i < 2; ++i) {
    const RawResponse answer = client.fetch("/a");
    CHECK(has(answer, i == 0 ? "fwd=stale; fwd-status=304" : "Vignette; hit"));
    CHECK(answer.body == "body");
    CHECK(answer.field("x-a") == "2");
    CHECK(answer.field("x-b") == "1");
    CHECK(answer.field("etag") == "\"v1\"");
    CHECK(answer.field("content-type") == "text/b");
    CHECK(answer.field("content-encoding").empty());
    CHECK(answer.field("cache-control") == "max-age=60");
    CHECK(std::stoi(answer.field("age")) < 50);
  }
  CHECK(scene.origin.log().at(1).field("if-none-match") == "\"v1\"");
  CHECK(scene.origin.calls() == 2);
}

TEST_CASE("Without Last-Modified, If-Modified-Since is held against the Date") {
  Scene scene(
      always("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
             "CDN-Cache-Control: max-age=2000000000\r\n",
             "x"));
  RawClient client = scene.client();
  client.fetch("/a");
  CHECK(client.fetch("/a", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n").status == 304);
  CHECK(client.fetch("/a", "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n").status == 200);
}

TEST_CASE("Interim answers of the origin are passed over, and what follows is kept") {
  Scene scene([](const OriginCall&, const ScriptedOrigin::Send& send) {
    return send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nCache-Control: no-store\r\n\r\n" +
                ScriptedOrigin::answer(200, "Cache-Control: max-age=60\r\n", "x"));
  });
  RawClient client = scene.client();
  CHECK(client.fetch("/a").body == "x");
  const RawResponse hit = client.fetch("/a");
  CHECK(has(hit, "Vignette; hit"));
  CHECK(hit.field("link").empty());
}
