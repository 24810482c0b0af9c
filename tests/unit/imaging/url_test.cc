#include "imaging/url.h"

#include <catch2/catch.hpp>

#include "base/hmac.h"
#include "base/strings.h"

namespace vignette::imaging {
namespace {

const SigningKey kOld{"k1", "a secret of the last year"};
const SigningKey kNew{"k2", "a secret of this very year"};
constexpr WallTime kNow{std::chrono::seconds(1'700'000'000)};

ImageUrls urls(UnsignedPolicy policy) {
  auto grammar = Grammar::make({{{"thumb", "w=150,h=150,fit=cover"}}, {}, 8192});
  auto made = ImageUrls::make({policy, {kOld, kNew}}, std::make_shared<const Grammar>(*std::move(grammar)));
  REQUIRE(made);
  return *std::move(made);
}

int status(const ImageUrls& parser, std::string_view rest, std::string_view query = "") {
  const auto request = parser.parse(rest, query, kNow);
  return request ? 200 : status_for(request.error().error);
}

// Signs `ops/key` and splits what comes back into path and query, as a client would send it.
int signed_status(const SigningKey& key, std::string_view ops_and_key, std::optional<std::int64_t> expires,
                  bool with_id) {
  const std::string url = ImageUrls::sign(key, ops_and_key, expires, with_id);
  const Halves halves = split_once(url, '?');
  return status(urls(UnsignedPolicy::off), halves.before, halves.after);
}

TEST_CASE("a signature is base64url of HMAC-SHA256 over the path from the ops on") {
  // Witness: printf '/w=512/a/b.jpg' | openssl dgst -sha256 -hmac 'a secret of the last year' -binary |
  // base64
  const std::string url = ImageUrls::sign(kOld, "w=512/a/b.jpg", std::nullopt, false);
  CHECK(url == "afHEfyl6bPByhydAxcn2CbX71rYYdlgu7BYceYPpUDc/w=512/a/b.jpg");
}

TEST_CASE("every live key signs, with and without its id") {
  for (const SigningKey& key : {kOld, kNew}) {
    for (const bool with_id : {false, true}) {
      CHECK(signed_status(key, "w=512/a/b.jpg", std::nullopt, with_id) == 200);
      CHECK(signed_status(key, "w=512,q=80/a/b.jpg@webp", 1'700'000'001, with_id) == 200);
      CHECK(signed_status(key, "original/a/b.jpg", std::nullopt, with_id) == 200);
      CHECK(signed_status(key, "info/a/b.jpg", std::nullopt, with_id) == 200);
    }
  }
  const std::string url = ImageUrls::sign(kNew, "w=5/x", std::nullopt, false);
  CHECK(urls(UnsignedPolicy::off).parse(url, "", kNow)->key_id == "k2");
}

TEST_CASE("a signature that is wrong in any way is refused") {
  const ImageUrls parser = urls(UnsignedPolicy::on);
  const std::string good = ImageUrls::sign(kOld, "w=512/b.jpg", std::nullopt, false);
  const std::string mac = good.substr(0, good.find('/'));
  const std::string path = "/w=512/b.jpg";
  REQUIRE(status(parser, mac + path) == 200);
  CHECK(status(parser, "k1." + mac + path) == 200);
  CHECK(status(parser, "k2." + mac + path) == 403);
  CHECK(status(parser, "k3." + mac + path) == 403);
  CHECK(status(parser, "." + mac + path) == 403);
  CHECK(status(parser, mac + "/w=513/b.jpg") == 403);
  CHECK(status(parser, mac + "/w=512/c.jpg") == 403);
  CHECK(status(parser, mac + "/w=512/b.jpg@webp") == 403);
  CHECK(status(parser, mac + "A" + path) == 403);
  CHECK(status(parser, "!" + mac.substr(1) + path) == 403);
  std::string flipped = mac;
  flipped[3] = flipped[3] == 'A' ? 'B' : 'A';
  CHECK(status(parser, flipped + path) == 403);
  const SigningKey stranger{"k1", "not the secret of anyone"};
  CHECK(status(parser, ImageUrls::sign(stranger, "w=512/b.jpg", std::nullopt, true)) == 403);
}

TEST_CASE("a signature may be cut to 16 bytes and no further") {
  const Sha256Digest digest = hmac_sha256(kOld.secret, "/w=512/b.jpg");
  const ImageUrls parser = urls(UnsignedPolicy::off);
  for (std::size_t size = 0; size <= 32; ++size) {
    INFO(size);
    const std::string mac = base64url_encode(as_view(digest).substr(0, size));
    const int expected = size >= 16 ? 200 : size == 0 ? 400 : 403;
    CHECK(status(parser, mac + "/w=512/b.jpg") == expected);
  }
}

TEST_CASE("expiry is signed and enforced") {
  CHECK(signed_status(kOld, "w=1/b.jpg", 1'700'000'001, false) == 200);
  CHECK(signed_status(kOld, "w=1/b.jpg", 1'700'000'000, false) == 403);
  CHECK(signed_status(kOld, "w=1/b.jpg", 0, false) == 403);
  const ImageUrls parser = urls(UnsignedPolicy::on);
  const std::string url = ImageUrls::sign(kOld, "w=1/b.jpg", 1'700'000'001, false);
  const std::string path = url.substr(0, url.find('?'));
  CHECK(status(parser, path, "e=1700000001") == 200);
  CHECK(status(parser, path, "v=3&e=1700000001") == 200);
  CHECK(status(parser, path, "e=1700000002") == 403);
  CHECK(status(parser, path, "e=01700000001") == 403);
  CHECK(status(parser, path) == 403);
  CHECK(status(parser, "-/w=1/b.jpg", "e=1699999999") == 403);
  CHECK(parser.parse(path, "e=1700000001", kNow)->expires == 1'700'000'001);
}

TEST_CASE("unsigned URLs are allowed as configured") {
  struct Row {
    const char* rest;
    int off, presets, on;
  };
  const Row row = GENERATE(values<Row>({{"-/w=10/a", 403, 403, 200},
                                        {"-/p:thumb/a", 403, 200, 200},
                                        {"-/p:thumb/a@webp", 403, 200, 200},
                                        {"-/p:thumb,w=10/a", 403, 403, 200},
                                        {"-/original/a", 403, 403, 200},
                                        {"-/info/a", 403, 403, 200},
                                        {"-/w=0/a", 400, 400, 400}}));
  INFO(row.rest);
  CHECK(status(urls(UnsignedPolicy::off), row.rest) == row.off);
  CHECK(status(urls(UnsignedPolicy::presets), row.rest) == row.presets);
  CHECK(status(urls(UnsignedPolicy::on), row.rest) == row.on);
}

TEST_CASE("keys are decoded once and kept inside their origin") {
  CHECK(decode_key("a/b.jpg") == "a/b.jpg");
  CHECK(decode_key("a%20b%C3%A9.jpg") == "a b\xC3\xA9.jpg");
  CHECK(decode_key("a%252e.jpg") == "a%2e.jpg");
  CHECK(decode_key("a//b") == "a//b");
  CHECK(decode_key("..a/b..") == "..a/b..");
  CHECK(decode_key(std::string(1024, 'x')));
  CHECK(decode_key(std::string(1024 * 3 - 3 * 1024, 'x') + std::string(1023, 'x') + "%41"));
  for (const std::string bad :
       {"",           "a%00b", "..", ".",    "../a", "a/../b", "a/..", "..%2fa", "a%2f..%2fb", "%2e%2e/a",
        "%2e%2E%2Fa", "./a",   "/a", "%2fa", "a%",   "a%2",    "a%zz", "a%0ab",  "a%7fb",      "a\x01z"}) {
    INFO(bad);
    CHECK(!decode_key(bad));
  }
  CHECK(!decode_key(std::string(1025, 'x')));
}

TEST_CASE("the suffix names the format, and only known names are suffixes") {
  const ImageUrls parser = urls(UnsignedPolicy::on);
  const auto photo = parser.parse("-/w=10/me@home.jpg@webp", "", kNow);
  REQUIRE(photo);
  CHECK(photo->key == "me@home.jpg");
  CHECK(photo->transform.format == OutputFormat::webp);
  CHECK(parser.parse("-/w=10/me@home.jpg", "", kNow)->key == "me@home.jpg");
  CHECK(parser.parse("-/original/a@webp", "", kNow)->key == "a@webp");
  CHECK(parser.parse("-/w=10/a%40webp", "", kNow)->key == "a@webp");
  CHECK(parser.parse("-/f=png/a@png", "", kNow)->transform.format == OutputFormat::png);
  CHECK(status(parser, "-/f=png/a@webp") == 400);
  CHECK(status(parser, "-/w=1/a@avif") == 400);
}

TEST_CASE("shapes that are no image URL are refused with 400") {
  const ImageUrls parser = urls(UnsignedPolicy::on);
  for (const char* rest :
       {"", "-", "-/", "-/w=1", "-/w=1/", "/w=1/a", "-//a", "-/w=1/..", "-/original/", "x"}) {
    INFO(rest);
    CHECK(status(parser, rest) == 400);
  }
  for (const char* query : {"x=1", "e=", "e=-1", "e=abc", "e=1&e=1", "v=1&v=1", "v=a%20b",
                            "e=99999999999999999999", "&", "v=1&"}) {
    INFO(query);
    CHECK(status(parser, "-/w=1/a", query) == 400);
  }
  CHECK(status(parser, "-/w=1/a", "v=3.1-rc_2~a") == 200);
  CHECK(status(parser, "-/w=1/" + std::string(1025, 'k')) == 400);
  CHECK(parser.parse("-/wat=1/a", "", kNow).error().message == "unknown op 'wat=1'");
}

TEST_CASE("weak or ambiguous keys are refused when they are loaded") {
  auto grammar = std::make_shared<const Grammar>(*Grammar::make({}));
  const std::string secret(16, 's');
  CHECK(ImageUrls::make({UnsignedPolicy::off, {{"a", secret}}}, grammar));
  CHECK(!ImageUrls::make({UnsignedPolicy::off, {{"a", secret.substr(1)}}}, grammar));
  CHECK(!ImageUrls::make({UnsignedPolicy::off, {{"a", secret}, {"a", secret}}}, grammar));
  CHECK(!ImageUrls::make({UnsignedPolicy::off, {{"a.b", secret}}}, grammar));
  CHECK(!ImageUrls::make({UnsignedPolicy::off, {{"", secret}}}, grammar));
}

}  // namespace
}  // namespace vignette::imaging
