#include "proxy/policy/cache_key.h"

#include <catch2/catch.hpp>

#include "cache/vary.h"

using namespace vignette;
using namespace vignette::proxy;
using conf::RouteCacheKey;

namespace {

// "-" for no query at all.
std::string selected(const RouteCacheKey& key, std::string_view query) {
  std::string scratch = "left over";
  const auto chosen = select_query(key, true, query, scratch);
  return chosen ? std::string(*chosen) : "-";
}

std::string lines(const RouteCacheKey& key, std::string_view name, std::string_view value) {
  http::FieldList request;
  request.add(name, value);
  std::string out = "https";
  CHECK(append_key_fields(key, request, out));
  return out;
}

}  // namespace

TEST_CASE("the query stays as it came unless the route chooses from it") {
  const RouteCacheKey all;
  CHECK(selected(all, "b=2&&a=1") == "b=2&&a=1");
  CHECK(selected(all, "").empty());
  std::string scratch;
  CHECK_FALSE(select_query(all, false, "", scratch));
  RouteCacheKey none;
  none.query = RouteCacheKey::Query::none;
  CHECK(selected(none, "a=1") == "-");
}

TEST_CASE("listed parameters are kept by their decoded names, sorted, and nothing else") {
  RouteCacheKey key;
  key.query = RouteCacheKey::Query::listed;
  key.query_names = {"f_*", "page"};
  CHECK(selected(key, "page=2&f_b=1&x=9&f_a=3") == "f_a=3&f_b=1&page=2");
  CHECK(selected(key, "page=2&page=1") == "page=2&page=1");
  CHECK(selected(key, "%70age=2") == "%70age=2");
  CHECK(selected(key, "f_") == "f_");
  CHECK(selected(key, "page") == "page");
  CHECK(selected(key, "pages=1&PAGE=1&=page&%zz=1&x%26page=1") == "-");
  CHECK(selected(key, "") == "-");
}

TEST_CASE("ignored parameters go, however their names are written, and the others are sorted") {
  RouteCacheKey key;
  key.ignore_query = {"fbclid", "utm_*"};
  CHECK(selected(key, "b=2&utm_source=x&a=1&fbclid=y") == "a=1&b=2");
  CHECK(selected(key, "%75tm_source=x") == "-");
  CHECK(selected(key, "utm=1") == "utm=1");
}

TEST_CASE("fields and cookies of the key are lines that nothing else can write") {
  RouteCacheKey key;
  key.headers = {"x-device"};
  key.cookies = {"lang"};
  CHECK(lines(key, "x-device", " phone ") == "https\nx-device:phone");
  CHECK(lines(key, "cookie", "a=1; lang=de; xlang=en") == "https\nx-device:\ncookie lang:de");
  CHECK(lines(key, "cookie", "lang=de;lang=en") == "https\nx-device:\ncookie lang:de\ncookie lang:en");
  CHECK(lines(key, "cookie", "lang") == "https\nx-device:");
  CHECK(lines(key, "cookie", "LANG=de") == "https\nx-device:");
}

TEST_CASE("a key has room for so much and no more") {
  RouteCacheKey key;
  key.cookies = {"a"};
  const auto fits = [&](std::size_t size) {
    http::FieldList request;
    const std::string cookie = "a=" + std::string(size, 'v');
    request.add("cookie", cookie);
    std::string out;
    return append_key_fields(key, request, out);
  };
  const std::size_t room = cache::kMaxVaryBytes - std::string_view("\ncookie a:").size();
  CHECK(fits(room));
  CHECK_FALSE(fits(room + 1));
}
