#include "cache/purge/cache_groups.h"

#include <catch2/catch.hpp>
#include <optional>

#include "cache/purge/identity.h"
#include "cache/stored_fields.h"

namespace vignette::cache {
namespace {

using Groups = std::vector<std::string>;

std::optional<Groups> parse(std::string_view value) {
  Groups groups;
  if (!parse_cache_groups(value, groups)) return std::nullopt;
  return groups;
}

}  // namespace

TEST_CASE("Cache-Groups is a list of strings") {
  CHECK(parse("\"a\"") == Groups{"a"});
  CHECK(parse("  \"a\" ,\t\"b c\"") == Groups{"a", "b c"});
  CHECK(parse(R"("a\"b", "c\\d")") == Groups{"a\"b", "c\\d"});
  CHECK(parse("\"a\";x;y=1;z=\"q,\\\"\", \"b\"") == Groups{"a", "b"});
  CHECK(parse("\"a\"; x=?1") == Groups{"a"});
  CHECK(parse("") == Groups{});
  CHECK(parse("\"\"") == Groups{});
}

TEST_CASE("a Cache-Groups that is anything else counts for nothing") {
  for (const char* value :
       {"a", "\"a\" \"b\"", "\"a\",", ",\"a\"", "\"a", "\"a\\n\"", "\"a\", b", "\"a\", 7", "(\"a\")",
        "\"a\";", "\"a\";X", "\"a\";x=", "\"a\";x=\"b", "\"\x7f\"", "\"\xc3\xa4\""}) {
    CAPTURE(value);
    CHECK(parse(value) == std::nullopt);
  }
}

TEST_CASE("tags of all fields become words, and none of the node's own can be forged") {
  http::FieldList fields;
  fields.add({http::FieldId::other, "cache-tag", "red, blue"});
  fields.add({http::FieldId::other, "surrogate-key", "green \x01k:0123456789abcdef"});
  fields.add({http::FieldId::other, "cache-groups", "\"two words\""});
  fields.add({http::FieldId::other, "x-cache-tag", "other"});
  std::string tags;
  append_tags(fields, tags);
  CHECK(tags == "red blue green " + tag_word("two words"));
  CHECK(tag_word("two words").find(' ') == std::string::npos);
  std::string stored;
  append_stored_fields(fields, stored, false);
  CHECK(stored == "x-cache-tag: other\r\n");
}

TEST_CASE("groups of all lines count, up to the limit, and none when one line is malformed") {
  http::FieldList fields;
  fields.add({http::FieldId::other, "cache-group-invalidation", "\"a\", \"b\""});
  fields.add({http::FieldId::other, "cache-groups", "\"not asked for\""});
  fields.add({http::FieldId::other, "cache-group-invalidation", "\"c d\";x"});
  CHECK(read_cache_groups(fields, "cache-group-invalidation") == Groups{"a", "b", "c d"});
  std::string many;
  for (std::size_t i = 4; i <= kMaxCacheGroups; ++i) many += "\"g" + std::to_string(i) + "\", ";
  const std::string full = many.substr(0, many.size() - 2);
  fields.add({http::FieldId::other, "cache-group-invalidation", full});
  CHECK(read_cache_groups(fields, "cache-group-invalidation").size() == kMaxCacheGroups);
  CHECK(read_cache_groups(fields, "cache-group-invalidation").back() ==
        "g" + std::to_string(kMaxCacheGroups));
  fields.add({http::FieldId::other, "cache-group-invalidation", "\"one more\""});
  CHECK(read_cache_groups(fields, "cache-group-invalidation").back() ==
        "g" + std::to_string(kMaxCacheGroups));
  fields.add({http::FieldId::other, "cache-group-invalidation", "a"});
  CHECK(read_cache_groups(fields, "cache-group-invalidation").empty());
}

TEST_CASE("a group is one of its URL origin alone: scheme, host and port") {
  const std::string red = group_tag("a.test/x?y\nhttps", "red");
  CHECK(red.size() == 19);
  CHECK(is_group_tag(red));
  CHECK(red == group_tag("a.test/\nhttps", "red"));
  CHECK(red == group_tag("a.test/other\nhttps\naccept-encoding:gzip", "red"));
  for (const char* other : {"a.test/x?y\nhttp", "b.test/x?y\nhttps", "a.test:8443/x?y\nhttps",
                            "a.test/x?y\nhttps:80", "a.test/x?y"}) {
    CAPTURE(other);
    CHECK(group_tag(other, "red") != red);
  }
  CHECK(group_tag("a.test/x\nhttps", "blue") != red);
  CHECK(group_tag("/photo.jpg\noriginal photos", "red").empty());
}

}  // namespace vignette::cache
