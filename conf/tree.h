// A parsed TOML file as plain values with their places. toml++ stays behind parse_toml().
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "conf/loader.h"

namespace vignette::conf {

struct Member;

struct Node {
  enum class Kind : std::uint8_t { string, integer, number, boolean, date, array, table };
  Kind kind = Kind::table;
  Position at;
  std::string text;  // string
  std::int64_t integer = 0;
  bool boolean = false;
  std::vector<Node> items;      // array
  std::vector<Member> members;  // table

  bool is(Kind k) const { return kind == k; }
  const Node* find(std::string_view key) const;  // of a table; nullptr when absent
  const Member* find_member(std::string_view key) const;
};

struct Member {
  std::string key;
  Position at;
  Node value;
};

// "a string", "a table": for "expected …, not …".
std::string_view describe(Node::Kind kind);

// `file` names the text in positions. The library stops at the first syntax error.
std::expected<Node, Diagnostic> parse_toml(std::string_view text, const std::string& file);

}  // namespace vignette::conf
