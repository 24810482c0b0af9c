#include "conf/option_types.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "conf/values.h"

namespace vignette::conf {
namespace {

std::string shown(const Node& node) {
  if (node.is(Node::Kind::string)) return fmt::format("\"{}\"", node.text);
  if (node.is(Node::Kind::integer)) return fmt::format("{}", node.integer);
  return std::string(describe(node.kind));
}

std::string quoted(const std::string& value) { return value.empty() ? "" : fmt::format("\"{}\"", value); }

// The joined path, or nullopt after "expected a path".
std::optional<std::string> joined(Context& context, const Node& node) {
  const bool usable =
      node.is(Node::Kind::string) && !node.text.empty() && node.text.find('\0') == std::string::npos;
  if (!usable) return refuse(context, node, "a path");
  return context.resolve(node.at, node.text);
}

std::optional<Address> address(Context& context, const Node& node, std::string_view expected) {
  auto parsed = node.is(Node::Kind::string) ? parse_address(node.text) : std::nullopt;
  if (!parsed) return refuse(context, node, expected);
  if (parsed->kind == Address::Kind::unix_socket) parsed->path = context.resolve(node.at, parsed->path);
  return parsed;
}

}  // namespace

std::nullopt_t refuse(Context& context, const Node& node, std::string_view expected) {
  context.error(node.at, fmt::format("expected {}, not {}", expected, shown(node)));
  return std::nullopt;
}

bool expect_table(Context& context, const Node& node) {
  if (node.is(Node::Kind::table)) return true;
  refuse(context, node, "a table");
  return false;
}

Type<bool> boolean() {
  Type<bool> type{"boolean", "", {}, {}};
  type.parse = [](Context& context, const Node& node) -> std::optional<bool> {
    if (!node.is(Node::Kind::boolean)) return refuse(context, node, "true or false");
    return node.boolean;
  };
  type.show = [](const bool& value) { return std::string(value ? "true" : "false"); };
  return type;
}

Type<std::uint32_t> integer(std::uint32_t least, std::uint32_t most) {
  Type<std::uint32_t> type{"integer", fmt::format("{} to {}", least, most), {}, {}};
  type.parse = [least, most](Context& context, const Node& node) -> std::optional<std::uint32_t> {
    if (!node.is(Node::Kind::integer) || node.integer < least || node.integer > most) {
      return refuse(context, node, fmt::format("an integer from {} to {}", least, most));
    }
    return static_cast<std::uint32_t>(node.integer);
  };
  type.show = [](const std::uint32_t& value) { return fmt::format("{}", value); };
  return type;
}

Type<std::uint32_t> auto_or(Type<std::uint32_t> number) {
  Type<std::uint32_t> type{"integer", number.range + ", or \"auto\"", {}, {}};
  type.parse = [number, range = number.range](Context& context,
                                              const Node& node) -> std::optional<std::uint32_t> {
    if (node.is(Node::Kind::string) && node.text == "auto") return 0;
    if (node.is(Node::Kind::string)) {
      return refuse(context, node, fmt::format("\"auto\" or an integer from {}", range));
    }
    return number.parse(context, node);
  };
  type.show = [number](const std::uint32_t& value) {
    return value == 0 ? std::string("\"auto\"") : number.show(value);
  };
  return type;
}

Type<milliseconds> duration(milliseconds least, milliseconds most) {
  const std::string range = fmt::format("{} to {}", format_duration(least), format_duration(most));
  Type<milliseconds> type{"duration", range, {}, {}};
  type.parse = [least, most, range](Context& context, const Node& node) -> std::optional<milliseconds> {
    const auto parsed = node.is(Node::Kind::string) ? parse_duration(node.text) : std::nullopt;
    if (!parsed || *parsed < least || *parsed > most) {
      return refuse(context, node,
                    fmt::format("a duration from {} (a whole number and ms, s, m, h or d)", range));
    }
    return *parsed;
  };
  type.show = [](const milliseconds& value) { return quoted(format_duration(value)); };
  return type;
}

Type<std::uint64_t> size(std::uint64_t least, std::uint64_t most) {
  const std::string range = fmt::format("{} to {}", format_size(least), format_size(most));
  Type<std::uint64_t> type{"size", range, {}, {}};
  type.parse = [least, most, range](Context& context, const Node& node) -> std::optional<std::uint64_t> {
    const auto parsed = node.is(Node::Kind::string) ? parse_size(node.text) : std::nullopt;
    if (!parsed || *parsed < least || *parsed > most) {
      return refuse(context, node,
                    fmt::format("a size from {} (a whole number and B, KiB, MiB, GiB or TiB)", range));
    }
    return *parsed;
  };
  type.show = [](const std::uint64_t& value) { return quoted(format_size(value)); };
  return type;
}

Type<std::string> text(std::string name, std::string range, Accepts accepts) {
  Type<std::string> type{std::move(name), std::move(range), {}, {}};
  type.parse = [accepts](Context& context, const Node& node) -> std::optional<std::string> {
    if (!node.is(Node::Kind::string)) return refuse(context, node, "a string");
    if (node.text.empty()) return refuse(context, node, "a string that is not empty");
    const auto wrong = accepts ? accepts(node.text) : std::nullopt;
    if (!wrong) return node.text;
    context.error(node.at, *wrong);
    return std::nullopt;
  };
  type.show = quoted;
  return type;
}

Type<std::string> path_to_be() {
  Type<std::string> type{"path", "", joined, quoted};
  return type;
}

Type<std::string> file_path() {
  Type<std::string> type{"path", "a readable file", {}, quoted};
  type.parse = [](Context& context, const Node& node) -> std::optional<std::string> {
    auto path = joined(context, node);
    if (!path) return std::nullopt;
    std::error_code error;
    if (std::filesystem::is_directory(*path, error)) {
      context.error(node.at, fmt::format("{} is a directory, not a file", *path));
      return std::nullopt;
    }
    if (::access(path->c_str(), R_OK) == 0) return path;
    context.error(node.at, fmt::format("cannot read {}: {}", *path, std::strerror(errno)));
    return std::nullopt;
  };
  return type;
}

Type<std::string> directory_path() {
  Type<std::string> type{"path", "a directory", {}, quoted};
  type.parse = [](Context& context, const Node& node) -> std::optional<std::string> {
    auto path = joined(context, node);
    if (!path) return std::nullopt;
    std::error_code error;
    if (std::filesystem::is_directory(*path, error)) return path;
    context.error(node.at, fmt::format("there is no directory {}", *path));
    return std::nullopt;
  };
  return type;
}

Type<Address> listen_address() {
  Type<Address> type{"address", "IP:PORT, [IPv6]:PORT or unix:PATH", {}, {}};
  type.parse = [](Context& context, const Node& node) -> std::optional<Address> {
    constexpr std::string_view kExpected =
        "an address such as \"0.0.0.0:80\", \"[::]:80\" or \"unix:/run/vignette.sock\"";
    auto parsed = address(context, node, kExpected);
    if (parsed && parsed->kind == Address::Kind::tcp && !parsed->is_ip) {
      return refuse(context, node, kExpected);
    }
    return parsed;
  };
  type.show = [](const Address&) { return std::string(); };
  return type;
}

Type<Address> connect_address() {
  Type<Address> type{"address", "HOST:PORT, [IPv6]:PORT or unix:PATH", {}, {}};
  type.parse = [](Context& context, const Node& node) -> std::optional<Address> {
    constexpr std::string_view kExpected =
        "an address such as \"10.0.0.11:8000\", \"app.internal:8000\" or \"unix:/run/app.sock\"";
    auto parsed = address(context, node, kExpected);
    if (parsed && parsed->kind == Address::Kind::tcp && parsed->port == 0) {
      return refuse(context, node, "a port from 1 to 65535");
    }
    return parsed;
  };
  type.show = [](const Address&) { return std::string(); };
  return type;
}

Type<IpPrefix> network() {
  Type<IpPrefix> type{"network", "such as \"10.0.0.0/8\", \"2001:db8::/32\" or one address", {}, {}};
  type.parse = [](Context& context, const Node& node) -> std::optional<IpPrefix> {
    auto parsed = node.is(Node::Kind::string) ? IpPrefix::parse(node.text) : std::nullopt;
    if (parsed) return parsed;
    return refuse(context, node,
                  "a network such as \"10.0.0.0/8\" or \"2001:db8::/32\", no bits set behind its length");
  };
  return type;
}

Type<CountryCode> country() {
  Type<CountryCode> type{"country", "two capital letters of ISO 3166-1; \"ZZ\" = unknown", {}, {}};
  type.parse = [](Context& context, const Node& node) -> std::optional<CountryCode> {
    const auto capital = [](char c) { return c >= 'A' && c <= 'Z'; };
    if (node.is(Node::Kind::string) && node.text.size() == 2 && capital(node.text[0]) &&
        capital(node.text[1])) {
      return CountryCode{node.text[0], node.text[1]};
    }
    return refuse(context, node, "a country as two capital letters such as \"DE\"");
  };
  return type;
}

}  // namespace vignette::conf
