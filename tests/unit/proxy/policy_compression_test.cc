#include "proxy/policy/compression.h"

#include <catch2/catch.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace vignette::proxy {
namespace {

using http::Coding;
using http::FieldId;

conf::RouteCompress rule() {
  conf::RouteCompress made;
  made.enabled = true;
  return made;
}

// "Name: value" lines with LF between them; names in lower case.
http::FieldList fields(std::string_view lines) {
  http::FieldList list;
  for (std::string_view line : split(lines, '\n')) {
    if (line.empty()) continue;
    const std::size_t colon = line.find(": ");
    REQUIRE(list.add(line.substr(0, colon), line.substr(colon + 2)));
  }
  return list;
}

http::ResponseHead answer(std::string_view lines, int status = 200) {
  http::ResponseHead head;
  head.status = status;
  head.fields = fields(lines);
  return head;
}

CodingChange decide(std::string_view accepted, std::string_view lines, int status = 200,
                    std::optional<std::uint64_t> length = 5000) {
  const std::string request = accepted.empty() ? "" : "accept-encoding: " + std::string(accepted);
  return decide_coding(rule(), fields(request), answer(lines, status), length);
}

TEST_CASE("A page gets what its client likes best of what is made here") {
  const auto made = [](std::string_view accepted) {
    return decide(accepted, "content-type: text/html").made;
  };
  CHECK(made("gzip, deflate, br, zstd") == Coding::zstd);
  CHECK(made("gzip, deflate, br") == Coding::br);
  CHECK(made("gzip") == Coding::gzip);
  CHECK(made("x-gzip") == Coding::gzip);
  CHECK(made("br;q=0.5, gzip;q=0.8") == Coding::gzip);
  CHECK(made("*") == Coding::zstd);
  CHECK(made("*, zstd;q=0") == Coding::br);
  CHECK(made("*;q=0") == Coding::identity);
  CHECK(made("identity;q=0, *;q=0") == Coding::identity);
  CHECK(made("gzip;q=0.5, identity") == Coding::identity);
  CHECK(made("deflate") == Coding::identity);
  CHECK(made("") == Coding::identity);
  conf::RouteCompress only = rule();
  only.codings = {Coding::gzip};
  CHECK(decide_coding(only, fields("accept-encoding: zstd, br, gzip;q=0.1"),
                      answer("content-type: text/html"), 5000)
            .made == Coding::gzip);
}

TEST_CASE("Types that compress are compressed, others are not and do not vary") {
  for (const char* type : {"text/html", "text/html; charset=utf-8", "TEXT/CSS", "application/json",
                           "application/ld+json", "application/problem+json;x=y", "image/svg+xml",
                           "application/wasm", "text/javascript", "application/rss+xml"}) {
    INFO(type);
    CHECK(decide("gzip", "content-type: " + std::string(type)).made == Coding::gzip);
    CHECK(decide("", "content-type: " + std::string(type)).varies);
  }
  for (const char* type : {"image/jpeg", "image/webp", "video/mp4", "application/zip", "font/woff2",
                           "text/event-stream", "Text/Event-Stream; charset=utf-8", "application/grpc",
                           "text", "multipart/byteranges", "application/octet-stream", ";"}) {
    INFO(type);
    CHECK_FALSE(decide("gzip", "content-type: " + std::string(type)).varies);
  }
  CHECK_FALSE(decide("gzip", "etag: \"a\"").varies);
}

TEST_CASE("What must not be changed stays as it is") {
  constexpr std::string_view kPage = "content-type: text/html\n";
  const auto stays = [&](std::string_view more, int status = 200) {
    const CodingChange change = decide("gzip", std::string(kPage).append(more), status);
    return !change.varies && !change.changes_body();
  };
  CHECK(stays("cache-control: max-age=60, no-transform"));
  CHECK(stays("content-range: bytes 0-9/100", 206));
  CHECK(stays("content-range: bytes 0-9/100"));
  CHECK(stays("", 204));
  CHECK(stays("", 205));
  CHECK(stays("", 206));
  CHECK(stays("", 304));
  CHECK(stays("content-encoding: deflate"));
  CHECK(stays("content-encoding: gzip, br"));
  CHECK(stays("content-encoding: gzip\ncontent-encoding: br"));
  CHECK(stays("content-encoding: identity"));
  CHECK_FALSE(stays("", 404));
  CHECK_FALSE(stays("", 500));
  CHECK_FALSE(
      decide_coding(conf::RouteCompress(), fields("accept-encoding: gzip"), answer(kPage), 5000).varies);
}

TEST_CASE("Short answers stay as they are, at the limit and one byte below it") {
  constexpr std::string_view kPage = "content-type: text/html";
  CHECK(decide("gzip", kPage, 200, 1024).made == Coding::gzip);
  CHECK_FALSE(decide("gzip", kPage, 200, 1023).varies);
  CHECK(decide("gzip", kPage, 200, std::nullopt).made == Coding::gzip);
  conf::RouteCompress all = rule();
  all.min_size = 0;
  CHECK_FALSE(decide_coding(all, fields("accept-encoding: gzip"), answer(kPage), 0).varies);
  CHECK(decide_coding(all, fields("accept-encoding: gzip"), answer(kPage), 1).made == Coding::gzip);
}

TEST_CASE("A coding that its client accepts is not made twice, and one that it does not accept is undone") {
  const auto of = [](std::string_view accepted, std::string_view coding) {
    return decide(accepted, "content-type: text/html\ncontent-encoding: " + std::string(coding), 200, 10);
  };
  CHECK_FALSE(of("gzip, br", "gzip").changes_body());
  CHECK(of("gzip, br", "gzip").varies);
  CHECK(of("br", "gzip").undone == Coding::gzip);
  CHECK(of("", "X-Gzip").undone == Coding::gzip);
  CHECK(of("identity", "br").undone == Coding::br);
  CHECK(of("gzip;q=0", "zstd").undone == Coding::zstd);
  CHECK(of("br", "gzip").made == Coding::identity);
  CHECK(decide("", "content-type: image/jpeg\ncontent-encoding: gzip").undone == Coding::gzip);
  CHECK_FALSE(decide("", "content-encoding: gzip\ncache-control: no-transform").varies);
}

TEST_CASE("The fields of a changed answer say so") {
  http::FieldList page = fields(
      "content-type: text/html\netag: \"a\"\naccept-ranges: bytes\ncontent-md5: x\nrepr-digest: y\n"
      "content-digest: z\ndigest: w\nvary: Cookie\nvary: X-Kind");
  const auto texts = apply_coding({.undone = Coding::identity, .made = Coding::br, .varies = true}, page);
  REQUIRE(texts);
  CHECK(page.value(FieldId::etag) == "W/\"a\"");
  CHECK(page.value(FieldId::content_encoding) == "br");
  CHECK(page.value(FieldId::vary) == "Cookie, X-Kind, Accept-Encoding");
  CHECK(page.count(FieldId::vary) == 1);
  CHECK(page.size() == 4);

  http::FieldList weak = fields("etag: W/\"a\"\nvary: accept-encoding\ncontent-encoding: gzip");
  REQUIRE(apply_coding({.undone = Coding::gzip, .made = Coding::identity, .varies = true}, weak));
  CHECK(weak.value(FieldId::etag) == "W/\"a\"");
  CHECK_FALSE(weak.has(FieldId::content_encoding));
  CHECK(weak.value(FieldId::vary) == "accept-encoding");

  http::FieldList unchanged = fields("etag: \"a\"\naccept-ranges: bytes\nvary: *");
  REQUIRE(apply_coding({.undone = {}, .made = {}, .varies = true}, unchanged));
  CHECK(unchanged.value(FieldId::etag) == "\"a\"");
  CHECK(unchanged.has(FieldId::accept_ranges));
  CHECK(unchanged.value(FieldId::vary) == "*");
}

TEST_CASE("A list of fields without room leaves an answer as it is") {
  http::FieldList full = fields("etag: \"a\"");
  while (full.size() < http::FieldList::kCapacity - 1) REQUIRE(full.add("x-more", "1"));
  CHECK_FALSE(apply_coding({.undone = {}, .made = Coding::gzip, .varies = true}, full));
  CHECK(full.value(FieldId::etag) == "\"a\"");
}

TEST_CASE("A 304 names the tag in the form in which the client has it") {
  const auto told = [](std::string_view asked, std::string_view lines) {
    http::FieldList list = fields(lines);
    const auto texts = apply_to_not_modified(fields("if-none-match: " + std::string(asked)), list);
    REQUIRE(texts);
    return std::string(list.value(FieldId::etag)) + " " + std::string(list.value(FieldId::vary));
  };
  CHECK(told("W/\"a\"", "etag: \"a\"") == "W/\"a\" Accept-Encoding");
  CHECK(told("W/\"b\", W/\"a\"", "etag: \"a\"\nvary: Cookie") == "W/\"a\" Cookie, Accept-Encoding");
  CHECK(told("\"a\"", "etag: \"a\"") == "\"a\" ");
  CHECK(told("W/\"a\", \"a\"", "etag: \"a\"") == "\"a\" ");
  CHECK(told("W/\"b\"", "etag: \"a\"") == "\"a\" ");
  CHECK(told("W/\"a\"", "etag: W/\"a\"") == "W/\"a\" ");
}

}  // namespace
}  // namespace vignette::proxy
