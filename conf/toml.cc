// The only file that sees toml++.
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <algorithm>

#include "conf/tree.h"

namespace vignette::conf {
namespace {

Position place(const toml::source_region& region, const std::string& file) {
  return {file, region.begin.line, region.begin.column};
}

Node convert(const toml::node& node, const std::string& file);

Node convert_table(const toml::table& table, const std::string& file) {
  Node out;
  for (const auto& [key, value] : table) {
    out.members.push_back({std::string(key.str()), place(key.source(), file), convert(value, file)});
  }
  return out;
}

Node convert_array(const toml::array& array, const std::string& file) {
  Node out;
  out.kind = Node::Kind::array;
  for (const toml::node& item : array) out.items.push_back(convert(item, file));
  return out;
}

Node convert_scalar(const toml::node& node) {
  Node out;
  if (const auto* text = node.as_string()) {
    out.kind = Node::Kind::string;
    out.text = text->get();
  } else if (const auto* integer = node.as_integer()) {
    out.kind = Node::Kind::integer;
    out.integer = integer->get();
  } else if (const auto* boolean = node.as_boolean()) {
    out.kind = Node::Kind::boolean;
    out.boolean = boolean->get();
  } else {
    out.kind = node.is_floating_point() ? Node::Kind::number : Node::Kind::date;
  }
  return out;
}

Node convert(const toml::node& node, const std::string& file) {
  Node out = node.is_table()   ? convert_table(*node.as_table(), file)
             : node.is_array() ? convert_array(*node.as_array(), file)
                               : convert_scalar(node);
  out.at = place(node.source(), file);
  return out;
}

}  // namespace

const Member* Node::find_member(std::string_view key) const {
  const auto found = std::ranges::find(members, key, &Member::key);
  return found == members.end() ? nullptr : &*found;
}

const Node* Node::find(std::string_view key) const {
  const Member* member = find_member(key);
  return member ? &member->value : nullptr;
}

std::string_view describe(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::string:
      return "a string";
    case Node::Kind::integer:
      return "an integer";
    case Node::Kind::number:
      return "a number with a fraction";
    case Node::Kind::boolean:
      return "true or false";
    case Node::Kind::date:
      return "a date";
    case Node::Kind::array:
      return "a list";
    case Node::Kind::table:
      return "a table";
  }
  return "";
}

std::expected<Node, Diagnostic> parse_toml(std::string_view text, const std::string& file) {
  const toml::parse_result result = toml::parse(text);
  if (!result) {
    const auto& error = result.error();
    const Position at = place(error.source(), file);
    return std::unexpected(Diagnostic{file, at.line, at.column, std::string(error.description())});
  }
  return convert(result.table(), file);
}

}  // namespace vignette::conf
