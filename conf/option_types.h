// Typed readers for schema rows. A Type knows how to read a value, how to show one as TOML, and what to
// call itself; value() joins it with a member of an option struct, whose initialiser is the default.
#pragma once

#include <fmt/core.h>

#include <concepts>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conf/address.h"
#include "conf/schema.h"

namespace vignette::conf {

template <typename V>
struct Type {
  std::string name;
  std::string range;
  // nullopt after an error was reported.
  std::function<std::optional<V>(Context&, const Node&)> parse;
  std::function<std::string(const V&)> show;  // "" = nothing worth showing
};

// Reports "expected WHAT, not …" and returns nullopt.
std::nullopt_t refuse(Context& context, const Node& node, std::string_view expected);

Type<bool> boolean();
Type<std::uint32_t> integer(std::uint32_t least, std::uint32_t most);
Type<std::uint32_t> auto_or(Type<std::uint32_t> number);  // "auto" is 0
Type<milliseconds> duration(milliseconds least, milliseconds most);
Type<std::uint64_t> size(std::uint64_t least, std::uint64_t most);

// `accepts` returns what is wrong with the text, or nothing.
using Accepts = std::function<std::optional<std::string>(std::string_view)>;
Type<std::string> text(std::string name = "string", std::string range = {}, Accepts accepts = {});
Type<std::string> file_path();       // joined, must be a readable file
Type<std::string> directory_path();  // joined, must be a folder
Type<std::string> path_to_be();      // joined, need not exist

Type<Address> listen_address();   // an IP literal or a unix socket
Type<Address> connect_address();  // a name too; port 1 to 65535
Type<IpPrefix> network();
Type<CountryCode> country();

template <typename E>
Type<E> choice(std::vector<std::pair<std::string, E>> words) {
  std::vector<std::string> names;
  names.reserve(words.size());
  for (const auto& [name, value] : words) names.push_back(name);
  Type<E> type{"string", quoted_list(names), {}, {}};
  type.parse = [words, names](Context& context, const Node& node) -> std::optional<E> {
    if (!node.is(Node::Kind::string)) return refuse(context, node, quoted_list(names));
    for (const auto& [name, value] : words) {
      if (name == node.text) return value;
    }
    context.error(node.at, fmt::format("expected {}, not \"{}\"{}", quoted_list(names), node.text,
                                       suggestion(node.text, names)));
    return std::nullopt;
  };
  type.show = [words](const E& shown) {
    for (const auto& [name, value] : words) {
      if (value == shown) return fmt::format("\"{}\"", name);
    }
    return std::string();
  };
  return type;
}

template <typename V>
Type<std::vector<V>> list_of(Type<V> item, std::string name, std::size_t least = 0) {
  Type<std::vector<V>> type{std::move(name), item.range, {}, {}};
  type.parse = [item, least, called = type.name](Context& context,
                                                 const Node& node) -> std::optional<std::vector<V>> {
    if (!node.is(Node::Kind::array)) return refuse(context, node, "a " + called);
    if (node.items.size() < least) return refuse(context, node, "at least one entry");
    std::vector<V> out;
    for (const Node& entry : node.items) {
      if (auto value = item.parse(context, entry)) out.push_back(std::move(*value));
    }
    return out;
  };
  type.show = [](const std::vector<V>& values) { return std::string(values.empty() ? "[]" : ""); };
  return type;
}

template <typename V>
Type<std::optional<V>> maybe(Type<V> inner, std::string absent = {}) {
  Type<std::optional<V>> type{inner.name, inner.range, {}, {}};
  type.parse = [inner](Context& context, const Node& node) -> std::optional<std::optional<V>> {
    auto value = inner.parse(context, node);
    if (!value) return std::nullopt;
    return std::optional<std::optional<V>>(std::in_place, std::move(*value));
  };
  type.show = [absent](const std::optional<V>&) { return absent; };
  return type;
}

template <typename T, typename V>
Option value(std::string key, V T::* member, const Type<V>& type, Reload reload, std::string doc) {
  Option option;
  option.key = std::move(key);
  option.type = type.name;
  option.range = type.range;
  option.fallback = type.show(T{}.*member);
  option.reload = reload;
  option.doc = std::move(doc);
  option.read = [member, type](Context& context, const Node& node, void* owner) {
    if (auto parsed = type.parse(context, node)) static_cast<T*>(owner)->*member = std::move(*parsed);
  };
  if constexpr (std::equality_comparable<V>) {
    if (reload == Reload::restart) {
      option.find_restarts = [member, name = option.key](const void* running, const void* next,
                                                         const std::string& path,
                                                         std::vector<std::string>& names) {
        const bool same = static_cast<const T*>(running)->*member == static_cast<const T*>(next)->*member;
        if (!same) names.push_back(path + name);
      };
    }
  }
  return option;
}

inline Option required(Option option) {
  option.required = true;
  option.fallback.clear();
  return option;
}

bool expect_table(Context& context, const Node& node);

// [key]
template <typename T, typename Sub>
Option table(std::string key, Sub T::* member, std::vector<Option> children, std::string doc) {
  Option option{.key = std::move(key), .shape = Option::Shape::table, .type = "table", .doc = std::move(doc)};
  option.children = std::move(children);
  option.read = [member, rows = option.children](Context& context, const Node& node, void* owner) {
    if (expect_table(context, node)) read_members(context, node, rows, &(static_cast<T*>(owner)->*member));
  };
  option.find_restarts = [member, rows = option.children, name = option.key](
                             const void* running, const void* next, const std::string& path,
                             std::vector<std::string>& names) {
    for (const Option& row : rows) {
      if (!row.find_restarts) continue;
      row.find_restarts(&(static_cast<const T*>(running)->*member), &(static_cast<const T*>(next)->*member),
                        path + name + ".", names);
    }
  };
  return option;
}

template <typename T, typename Sub>
Option maybe_table(std::string key, std::optional<Sub> T::* member, std::vector<Option> children,
                   std::string doc) {
  Option option{.key = std::move(key), .shape = Option::Shape::table, .type = "table", .doc = std::move(doc)};
  option.children = std::move(children);
  option.read = [member, rows = option.children](Context& context, const Node& node, void* owner) {
    if (!expect_table(context, node)) return;
    read_members(context, node, rows, &(static_cast<T*>(owner)->*member).emplace());
  };
  return option;
}

// [[key]]; one struct an item, also for an item with errors. `scalar`, if any, reads an item that is
// not a table. Structs with a place get it.
template <typename T, typename Sub>
Option tables(std::string key, std::vector<Sub> T::* member, std::vector<Option> children, std::string doc,
              std::function<void(Context&, const Node&, Sub&)> scalar = {}) {
  Option option{
      .key = std::move(key), .shape = Option::Shape::list, .type = "list of tables", .doc = std::move(doc)};
  option.children = std::move(children);
  option.read = [member, rows = option.children, scalar](Context& context, const Node& node, void* owner) {
    if (!node.is(Node::Kind::array)) {
      refuse(context, node, scalar ? "a list" : "a list of tables, [[…]] in the file");
      return;
    }
    for (const Node& entry : node.items) {
      Sub& item = (static_cast<T*>(owner)->*member).emplace_back();
      if constexpr (requires { item.where; }) item.where = entry.at;
      if (scalar && !entry.is(Node::Kind::table)) {
        scalar(context, entry, item);
      } else if (expect_table(context, entry)) {
        read_members(context, entry, rows, &item);
      }
    }
  };
  return option;
}

}  // namespace vignette::conf
