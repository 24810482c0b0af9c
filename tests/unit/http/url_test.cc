#include <catch2/catch.hpp>

#include "http/url.h"

using namespace vignette::http;

namespace {
std::string normal(std::string_view raw) {
  const auto path = normalize_path(raw);
  if (!path) return std::string(to_string(path.error()));
  CHECK(normalize_path(*path) == *path);
  return *path;
}
}  // namespace

TEST_CASE("A path has one normal form") {
  CHECK(normal("/") == "/");
  CHECK(normal("/a/b.jpg") == "/a/b.jpg");
  CHECK(normal("/%41%7e%2d") == "/A~-");
  CHECK(normal("/a%20b%c3%a9") == "/a%20b%C3%A9");
  CHECK(normal("/a/./b/../c") == "/a/c");
  CHECK(normal("/a/..") == "/");
  CHECK(normal("/a/.") == "/a/");
  CHECK(normal("/a/b/../") == "/a/");
  CHECK(normal("/%2e/a/%2E%2e/b") == "/b");
  CHECK(normal("//a//b") == "//a//b");
  CHECK(normal("/a//../b") == "/a/b");
  CHECK(normal("/...") == "/...");
  CHECK(normal("/.hidden") == "/.hidden");
  CHECK(normal("/a%2fb") == "/a%2Fb");
  CHECK(normal("/%2525") == "/%2525");
  CHECK(normal("*") == "*");
}

TEST_CASE("A path that escapes, hides dots or cannot be decoded is refused") {
  CHECK(normal("") == "not_absolute");
  CHECK(normal("a") == "not_absolute");
  CHECK(normal("/..") == "above_root");
  CHECK(normal("/../etc/passwd") == "above_root");
  CHECK(normal("/a/../../b") == "above_root");
  CHECK(normal("/%2e%2e/a") == "above_root");
  CHECK(normal("/a/..%2f..%2fetc") == "hidden_dots");
  CHECK(normal("/a%2f..%2fb") == "hidden_dots");
  CHECK(normal("/a%2f%2e%2e") == "hidden_dots");
  CHECK(normal("/a%5c..") == "hidden_dots");
  CHECK(normal("/..%5ca") == "hidden_dots");
  CHECK(normal("/a\\b") == "backslash");
  CHECK(normal("/a%00b") == "nul");
  CHECK(normal(std::string_view("/a\0b", 4)) == "nul");
  CHECK(normal("/%") == "bad_percent");
  CHECK(normal("/%4") == "bad_percent");
  CHECK(normal("/%gg") == "bad_percent");
  CHECK(normal("/a b") == "control");
  CHECK(normal("/\xC3\xA9") == "control");
}

TEST_CASE("A site may take several slashes for one, before dots count") {
  const auto merged = [](std::string_view raw) {
    const auto path = normalize_path(raw, {.merge_slashes = true});
    return path ? *path : std::string(to_string(path.error()));
  };
  CHECK(merged("//a///b//") == "/a/b/");
  CHECK(merged("//") == "/");
  CHECK(merged("/a//../b") == "/b");
  CHECK(merged("//..") == "above_root");
  CHECK(merged("/a/.//b") == "/a/b");
  CHECK(merged("/a%2F/b") == "/a%2F/b");
  CHECK(normalize_path("/a%2f%2F/b", {true, EncodedSlash::decode}) == "/a/b");
  CHECK(normalize_path("/a//b", {true, EncodedSlash::keep}) == "/a/b");
}

TEST_CASE("A site says what an encoded slash is") {
  const auto with = [](std::string_view raw, EncodedSlash rule) {
    const auto path = normalize_path(raw, {.encoded_slash = rule});
    return path ? *path : std::string(to_string(path.error()));
  };
  CHECK(with("/a%2fb", EncodedSlash::keep) == "/a%2Fb");
  CHECK(with("/a%2fb", EncodedSlash::decode) == "/a/b");
  CHECK(with("/a%2Fb", EncodedSlash::reject) == "encoded_slash");
  CHECK(with("/a/b", EncodedSlash::reject) == "/a/b");
  CHECK(with("/a%252Fb", EncodedSlash::decode) == "/a%252Fb");
  CHECK(with("/a%252Fb", EncodedSlash::reject) == "/a%252Fb");
  CHECK(with("/a/..%2fb", EncodedSlash::decode) == "/b");
  CHECK(with("/a%2f..%2f..%2fb", EncodedSlash::decode) == "above_root");
  CHECK(with("/a%2F%2Fb", EncodedSlash::decode) == "/a//b");
  CHECK(with("/a%5c../b", EncodedSlash::decode) == "hidden_dots");
  CHECK(with("%2Fa", EncodedSlash::decode) == "not_absolute");
}

TEST_CASE("Normalising works in place, and needs room only when something changes") {
  std::string path = "/a/../%62";
  CHECK(normalize_path(path, std::span<char>(path)) == "/b");
  CHECK(normalize_path("/plain", std::span<char>()) == "/plain");
  CHECK(normalize_path("/%62", std::span<char>()).error() == PathError::no_room);
}

TEST_CASE("A query is cut into parameters") {
  std::string_view rest = "a=1&&b&c==d&=e";
  std::string seen;
  for (Parameter parameter; next_parameter(rest, parameter);) {
    seen.append(parameter.name).append(parameter.has_value ? ":" : "!").append(parameter.value).append(" ");
  }
  CHECK(seen == "a:1 b! c:=d :e ");
}

TEST_CASE("Absolute URLs are cut into their parts") {
  const auto url = parse_absolute_url("https://a:1/b/c?d?e");
  REQUIRE(url);
  CHECK(url->authority == "a:1");
  CHECK(url->path == "/b/c");
  CHECK(url->query == "d?e");
  CHECK_FALSE(parse_absolute_url("ftp://a/"));
  CHECK_FALSE(parse_absolute_url("http:///a"));
  CHECK_FALSE(parse_absolute_url("http://a/#b"));
}
