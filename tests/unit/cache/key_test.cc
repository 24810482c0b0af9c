#include "cache/key.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <set>

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr std::uint64_t kChosen = 10'000;
constexpr std::uint64_t kBuckets = std::uint64_t{1} << 14;

// Into how many of kBuckets keys fall whose hashes end alike.
std::size_t buckets_of_chosen_keys(const KeyHash& hash) {
  std::set<std::size_t> buckets;
  for (std::uint64_t i = 0; i < kChosen; ++i) {
    buckets.insert(hash({.hi = i << 40, .lo = i << 40}) % kBuckets);
  }
  return buckets.size();
}

std::string key_of(KeyParts parts) {
  std::string text;
  const Key key = build_key(parts, text);
  CHECK(key == hash_key(text));
  return text;
}
}  // namespace

TEST_CASE("a key does not depend on the scheme, the case of the host or its trailing dot") {
  CHECK(key_of({.host = "Img.Example.com:443", .path = "/a"}) == "img.example.com/a");
  CHECK(key_of({.host = "img.example.com.:80", .path = "/a"}) == "img.example.com/a");
  CHECK(key_of({.host = "img.example.com:8080", .path = "/a"}) == "img.example.com:8080/a");
  CHECK(key_of({.host = "[2001:DB8::1]:443", .path = "/a"}) == "[2001:db8::1]/a");
}

TEST_CASE("equivalent percent encodings are one key, encoded dots and slashes stay what they are") {
  CHECK(key_of({.host = "h", .path = "/%7euser/%e4"}) == "h/~user/%E4");
  CHECK(key_of({.host = "h", .path = "/a%2fb"}) == "h/a%2Fb");
  CHECK(key_of({.host = "h", .path = "/%2e%2E/b"}) == "h/%2E%2E/b");
  CHECK(key_of({.host = "h", .path = "/100%"}) == "h/100%25");
}

TEST_CASE("an absent and an empty query are different keys") {
  CHECK(key_of({.host = "h", .path = "/a"}) == "h/a");
  CHECK(key_of({.host = "h", .path = "/a", .query = ""}) == "h/a?");
  CHECK(key_of({.host = "h", .path = "/a", .query = "w=1&h=2"}) == "h/a?w=1&h=2");
}

TEST_CASE("no path or query can forge the key of a variant") {
  const std::string forged = key_of({.host = "h", .path = "/a\nw=150", .query = std::nullopt});
  const std::string real = key_of({.host = "h", .path = "/a", .query = std::nullopt, .variant = "w=150"});
  CHECK(real == "h/a\nw=150");
  CHECK(forged == "h/a%0Aw=150");
  CHECK(key_of({.host = "h", .path = "/a?b"}) != key_of({.host = "h", .path = "/a", .query = "b"}));
  CHECK(key_of({.host = "h/a", .path = "/b"}) != key_of({.host = "h", .path = "/a/b"}));
}

TEST_CASE("keys that clients choose to end alike are spread over a table all the same") {
  // Of 10,000 balls 7,485 or so of 16,384 bins get one, by chance.
  CHECK(buckets_of_chosen_keys(KeyHash{{.first = 0x243f6a8885a308d3, .second = 0x13198a2e03707344}}) > 6000);
  const Key key = hash_key("h/a");
  CHECK(KeyHash{{.first = 1, .second = 2}}(key) != KeyHash{{.first = 3, .second = 4}}(key));
  CHECK(KeyHash()(key) == KeyHash()(key));
}
