#include "cache/vary.h"

#include <catch2/catch.hpp>

#include "cache/fill_table.h"
#include "cache/memory_store.h"
#include "cache/purge/identity.h"
#include "cache/stored_fields.h"
#include "cache_support.h"

using namespace vignette;
using namespace vignette::cache;
using vignette::http::FieldId;
using vignette::http::FieldList;

namespace {

FieldList one(std::string_view name, std::string_view value) {
  FieldList fields;
  fields.add(name, value);
  return fields;
}

}  // namespace

TEST_CASE("a Vary list is normalised over lines, case and order") {
  FieldList response = one("vary", "Origin, accept-encoding");
  response.add("vary", "ORIGIN");
  std::string list;
  CHECK(normalise_vary(response, list) == VaryKind::list);
  CHECK(list == "accept-encoding,origin");
  CHECK(normalise_vary(one("vary", "origin, *"), list) == VaryKind::star);
  CHECK(normalise_vary(FieldList(), list) == VaryKind::none);
  std::string names;
  for (std::size_t i = 0; i < kMaxVaryFields + 1; ++i) names += "x-" + std::to_string(i) + ",";
  CHECK(normalise_vary(one("vary", names), list) == VaryKind::too_long);
}

TEST_CASE("Accept-Encoding counts by the codings it accepts, other fields by their value") {
  std::string both, same, none;
  CHECK(append_vary_values("accept-encoding", one("accept-encoding", "deflate, br, gzip"), both));
  CHECK(append_vary_values("accept-encoding", one("accept-encoding", "gzip;q=0.5,br"), same));
  CHECK(append_vary_values("accept-encoding", FieldList(), none));
  CHECK(both == same);
  CHECK(both == "accept-encoding:br,gzip");
  CHECK(none == "accept-encoding:");
  std::string values;
  CHECK(append_vary_values("origin,x-a", one("x-a", "1"), values));
  CHECK(values == "origin:\nx-a:1");
  values.clear();
  const std::string longest(kMaxVaryBytes - 4, 'v');
  CHECK(append_vary_values("x-a", one("x-a", longest), values));
  values.clear();
  CHECK_FALSE(append_vary_values("x-a", one("x-a", longest + "v"), values));
}

TEST_CASE("a key knows whole values only") {
  CHECK(key_selects("h/a\nx-a:1", "x-a:1"));
  CHECK(key_selects("h/a\nx-a:1\nx-b:2", "x-a:1"));
  CHECK_FALSE(key_selects("h/a\nx-a:12", "x-a:1"));
  CHECK_FALSE(key_selects("x-a:1", "x-a:1"));
}

TEST_CASE("variants lie side by side below a marker") {
  ManualClock clock;
  MemoryStore store({.budget_bytes = 64 << 20});
  FillTable table(store, clock);
  auto fetch = [&](std::string_view language, std::string_view body) {
    const FieldList request = one("accept-language", language);
    std::string name = "h/a";
    Key key = hash_key(name);
    const VariantLookup found = try_lookup_variant(store, request, key, name);
    if (found.lookup.object) return body_text(*found.lookup.object);
    Joined joined = table.join_or_start(key, name, clock.now());
    ObjectHead head = fresh_head();
    std::string values;
    append_vary_values("accept-language", request, values);
    head.vary = "accept-language";
    head.vary_values = values;
    joined.writer.set_head(head, Reason::none);
    CHECK(vary_matches(*joined.reader.object(), request));
    CHECK_FALSE(vary_matches(*joined.reader.object(), one("accept-language", "xx")));
    CHECK(joined.writer.append(Slice::copy(body)));
    CHECK(joined.writer.commit());
    return std::string(found.vary_miss ? "vary-miss" : "uri-miss");
  };
  CHECK(fetch("de", "Hallo") == "uri-miss");
  CHECK(fetch("en", "Hello") == "vary-miss");
  CHECK(fetch("de", "") == "Hallo");
  CHECK(fetch("en", "") == "Hello");
  CHECK(store.stats().objects == 3);
  CHECK(table.stats().open == 0);
}

TEST_CASE("who follows the marker joins the fill that moved to its variant") {
  ManualClock clock;
  MemoryStore store({.budget_bytes = 64 << 20});
  FillTable table(store, clock);
  Joined first = table.join_or_start(hash_key("h/a"), "h/a", clock.now());
  ObjectHead head = fresh_head();
  head.vary = "accept-language";
  head.vary_values = "accept-language:de";
  first.writer.set_head(head, Reason::none);

  std::string name = "h/a";
  Key key = hash_key(name);
  CHECK(try_lookup_variant(store, one("accept-language", "de"), key, name).vary_miss);
  CHECK(table.join_or_start(key, name, clock.now()).fill == first.fill);
  CHECK(table.join_or_start(hash_key("h/a"), "h/a", clock.now()).hit->flags().is_vary_marker);
}

TEST_CASE("stored fields leave out what belongs to one connection or one answer") {
  FieldList fields = one("content-type", "image/jpeg");
  fields.add("date", "Sun, 06 Nov 1994 08:49:37 GMT");
  fields.add("age", "3");
  fields.add("content-length", "10");
  fields.add("keep-alive", "timeout=5");
  fields.add("surrogate-control", "max-age=9");
  fields.add("etag", "\"a\"");
  fields.add("x-own", "1");
  std::string stored;
  append_stored_fields(fields, stored);
  CHECK(stored == "Content-Type: image/jpeg\r\nETag: \"a\"\r\nx-own: 1\r\n");
  std::string names;
  FieldList read;
  REQUIRE(read_stored_fields(stored, names, read));
  CHECK(read.size() == 3);
  CHECK(read.value(FieldId::etag) == "\"a\"");
  FieldList broken;
  CHECK_FALSE(read_stored_fields("no colon\r\n", names, broken));
}

TEST_CASE("tags of all three fields are collected up to the limit") {
  FieldList fields = one("cache-tag", "a,b");
  fields.add("surrogate-key", "c d");
  std::string tags;
  append_tags(fields, tags);
  CHECK(tags == "a b c d");
  std::string many;
  append_tags(one("xkey", std::string(kMaxTagBytes - 1, 'x')), many);
  CHECK(many == std::string(kMaxTagBytes - 1, 'x'));
  many.clear();
  append_tags(one("xkey", std::string(kMaxTagBytes, 'x')), many);
  CHECK(many == kManyTags);
  many.clear();
  append_tags(one("xkey", "a " + std::string(kMaxTagBytes - 1, 'x') + " b"), many);
  CHECK(many == "a " + std::string(kManyTags));
}
