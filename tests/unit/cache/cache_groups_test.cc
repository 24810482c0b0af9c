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

}  // namespace vignette::cache
