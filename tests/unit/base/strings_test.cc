#include "base/strings.h"

#include <catch2/catch.hpp>
#include <vector>

using namespace vignette;

namespace {

std::vector<std::string_view> parts(std::string_view text, char separator) {
  std::vector<std::string_view> result;
  for (std::string_view part : split(text, separator)) result.push_back(part);
  return result;
}

}  // namespace

TEST_CASE("case is folded for ASCII only") {
  CHECK(iequals("Content-LENGTH", "content-length"));
  CHECK_FALSE(iequals("a", "ab"));
  CHECK_FALSE(iequals("@", "`"));
  CHECK_FALSE(iequals("[", "{"));
  CHECK_FALSE(iequals("\xc0", "\xe0"));
  CHECK(istarts_with("Bearer x", "bearer "));
  CHECK_FALSE(istarts_with("Be", "bearer"));
  CHECK(to_lower("ABC-\xc4Z[") == "abc-\xc4z[");
}

TEST_CASE("only spaces and tabs are trimmed") {
  CHECK(trim(" \t a b \t") == "a b");
  CHECK(trim("\r\n") == "\r\n");
  CHECK(trim(" \t ").empty());
  CHECK(trim("").empty());
}

TEST_CASE("a decimal number is digits and nothing else") {
  CHECK(parse_u64("0") == 0u);
  CHECK(parse_u64("007") == 7u);
  CHECK(parse_u64("18446744073709551615") == 18446744073709551615u);
  for (auto bad :
       {"", "18446744073709551616", "99999999999999999999999", "-1", "+1", " 1", "1 ", "1x", "0x1", "1,2"}) {
    INFO(bad);
    CHECK_FALSE(parse_u64(bad));
  }
  CHECK(parse_u64("65535", 65535) == 65535u);
  CHECK_FALSE(parse_u64("65536", 65535));
}

TEST_CASE("a hexadecimal number is digits of either case and nothing else") {
  CHECK(parse_hex_u64("fF") == 255u);
  CHECK(parse_hex_u64("ffffffffffffffff") == ~std::uint64_t{0});
  for (auto bad : {"", "10000000000000000", "0x1", "-1", "g", "1 "}) {
    INFO(bad);
    CHECK_FALSE(parse_hex_u64(bad));
  }
}

TEST_CASE("numbers are appended in decimal") {
  std::string out = "n=";
  append_u64(out, 0);
  append_u64(out, ~std::uint64_t{0});
  CHECK(out == "n=018446744073709551615");
}

TEST_CASE("splitting keeps empty parts") {
  using Parts = std::vector<std::string_view>;
  CHECK(parts("a,b", ',') == Parts{"a", "b"});
  CHECK(parts(",a,,b,", ',') == Parts{"", "a", "", "b", ""});
  CHECK(parts("", ',') == Parts{""});
  CHECK(parts("abc", ',') == Parts{"abc"});
}

TEST_CASE("splitting once cuts at the first separator") {
  Halves halves = split_once("k=v=w", '=');
  CHECK(halves.before == "k");
  CHECK(halves.after == "v=w");
  CHECK(halves.found);
  CHECK_FALSE(split_once("k", '=').found);
  CHECK(split_once("k", '=').before == "k");
}

TEST_CASE("edit distance counts insertions, deletions, replacements and swaps") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("listner", "listener") == 1);
  CHECK(edit_distance("lsitener", "listener") == 1);
  CHECK(edit_distance("ca", "abc") == 3);
  CHECK(edit_distance("flaw", "lawn") == 2);
}

TEST_CASE("constant time comparison compares") {
  CHECK(constant_time_equal("", ""));
  CHECK(constant_time_equal("abc", "abc"));
  CHECK_FALSE(constant_time_equal("abc", "abd"));
  CHECK_FALSE(constant_time_equal("xbc", "abc"));
  CHECK_FALSE(constant_time_equal("abc", "ab"));
}
