// The rows of `compress` in [[site.route]].
#include <algorithm>

#include "base/strings.h"
#include "conf/option_types.h"
#include "http/field_list.h"

namespace vignette::conf {
namespace {

using P = RouteCompress;

std::string quoted_items(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += fmt::format("{}\"{}\"", out.empty() ? "" : ", ", item);
  return "[" + out + "]";
}

std::optional<std::string> bad_media_type(std::string_view type) {
  const auto is_part = [](char c) { return http::is_token(std::string_view(&c, 1)) || c == '/'; };
  const bool one_star = std::ranges::count(type, '*') <= 1;
  const bool one_slash = std::ranges::count(type, '/') == 1 || type.starts_with('*');
  if (!type.empty() && one_star && one_slash && std::ranges::all_of(type, is_part)) return std::nullopt;
  return fmt::format(
      "expected a media type such as \"text/*\", \"*+json\" or \"application/json\", not \"{}\"", type);
}

Option types_option() {
  const auto type = list_of(text("string", "", bad_media_type), "list of media types");
  Option option = value("types", &P::types, type, Reload::live,
                        "The media types that are compressed, without parameters; one `*` stands for "
                        "anything. `text/event-stream` never is, since its events must not wait.");
  option.fallback = quoted_items(P{}.types);
  option.read = [type](Context& context, const Node& node, void* owner) {
    auto types = type.parse(context, node);
    if (!types) return;
    std::ranges::for_each(*types, lower_in_place);
    static_cast<P*>(owner)->types = std::move(*types);
  };
  return option;
}

std::vector<Option> rows_of_compress() {
  const auto coding = choice<http::Coding>(
      {{"zstd", http::Coding::zstd}, {"br", http::Coding::br}, {"gzip", http::Coding::gzip}});
  Option enabled =
      value("enabled", &P::enabled, boolean(), Reload::live, "`false` leaves every answer as it came.");
  enabled.fallback = "true for servers";
  Option codings = value("codings", &P::codings, list_of(coding, "list of strings"), Reload::live,
                         "What may be made. A client gets what its `Accept-Encoding` likes best; of what it "
                         "likes equally zstd goes before br, and br before gzip.");
  codings.fallback = "[\"zstd\", \"br\", \"gzip\"]";
  return {
      std::move(enabled),
      std::move(codings),
      value("min_size", &P::min_size, size(0, 1ULL << 30), Reload::live,
            "An answer that says a smaller length is left as it is: it would hardly become smaller."),
      types_option(),
  };
}

}  // namespace

Option route_compress_option() {
  Option option{.key = "compress",
                .shape = Option::Shape::table,
                .type = "boolean or table",
                .fallback = "true for servers",
                .doc =
                    "Whether answers of the servers are compressed for clients that say so, and undone for "
                    "those that do not when a server sends a coding unasked. Their entity tags become weak. "
                    "What the cache stores is stored compressed, once for each coding. A boolean is "
                    "`enabled` alone. Pages that hold both a secret and what a stranger may choose are "
                    "better not compressed over TLS (BREACH)."};
  option.children = rows_of_compress();
  option.read = [rows = option.children](Context& context, const Node& node, void* owner) {
    RouteCompress& compress = static_cast<Route*>(owner)->compress;
    if (node.is(Node::Kind::boolean)) {
      rows[0].read(context, node, &compress);
    } else if (node.is(Node::Kind::table)) {
      compress.enabled = true;
      read_members(context, node, rows, &compress);
    } else {
      refuse(context, node, "true, false or a table");
    }
  };
  return option;
}

}  // namespace vignette::conf
