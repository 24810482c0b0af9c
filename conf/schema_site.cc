// The rows of [[site]] and [[site.route]].
#include <algorithm>

#include "base/strings.h"
#include "conf/option_types.h"
#include "conf/redirect.h"
#include "http/field_list.h"
#include "http/url.h"

namespace vignette::conf {
namespace {

std::optional<std::string> bad_method(std::string_view method) {
  const auto capital = [](char c) { return (c >= 'A' && c <= 'Z') || c == '-'; };
  if (http::is_token(method) && std::ranges::all_of(method, capital)) return std::nullopt;
  return fmt::format("expected a method in capital letters such as \"GET\", not \"{}\"", method);
}

std::optional<std::string> bad_field_name(std::string_view name) {
  if (!http::is_token(name)) return fmt::format("\"{}\" is not a header field name", name);
  static constexpr std::string_view kFraming[] = {
      "connection", "content-length", "date", "keep-alive", "te", "trailer", "upgrade", "transfer-encoding"};
  const std::string lower = to_lower(name);
  if (std::ranges::find(kFraming, lower) == std::ranges::end(kFraming)) return std::nullopt;
  return fmt::format("\"{}\" belongs to the connection and cannot be changed", name);
}

std::optional<std::string> bad_field_value(std::string_view field) {
  const auto bad = [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == '\x7f'; };
  const bool outer =
      field.starts_with(' ') || field.ends_with(' ') || field.starts_with('\t') || field.ends_with('\t');
  if (!outer && std::ranges::none_of(field, bad)) return std::nullopt;
  return "a header field must not hold control characters or begin or end with a space";
}

Type<std::string> host() {
  auto type = text("host", "a name, \"*.\" and a name, or \"*\"");
  type.parse = [](Context& context, const Node& node) -> std::optional<std::string> {
    auto host = read_host(node);
    if (!host) return refuse(context, node, "a host such as \"example.com\", \"*.example.com\" or \"*\"");
    return host;
  };
  return type;
}

// The form that the router compares with. nullopt: no request's path has one, or it is a prefix that ends in
// the middle of something ("/a/..*", "/%2*").
std::optional<std::string> normal_path(std::string_view text) {
  const auto never = [](char c) {
    return (c >= 0 && c <= ' ') || c == '\x7f' || c == '?' || c == '#' || c == '*';
  };
  const bool has_dots = text.ends_with("/.") || text.ends_with("/..") || text.find("/../") != text.npos;
  if (!text.starts_with('/') || has_dots || std::ranges::any_of(text, never)) return std::nullopt;
  std::string encoded;
  for (const char c : text) {
    if (c >= 0) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  auto normal = http::normalize_path(encoded);
  return normal ? std::optional(std::move(*normal)) : std::nullopt;
}

Option path_option() {
  Option option{
      .key = "path",
      .type = "string",
      .range = "begins with /, may end in *",
      .required = true,
      .doc =
          "What this route matches: one path, or with a final `*` everything that begins with "
          "what is before it, without query; case counts. Both are compared in one normal form, so "
          "that `/über/*`, `/%c3%bcber/*` and `/./%C3%BCber/*` are one path; the site says what `%2F` "
          "and `//` are. The first route that matches path and method wins."};
  option.read = [](Context& context, const Node& node, void* owner) {
    constexpr std::string_view kExpected =
        "a path that begins with / and may end in *, such as \"/static/*\"";
    if (!node.is(Node::Kind::string)) return static_cast<void>(refuse(context, node, kExpected));
    Route& route = *static_cast<Route*>(owner);
    route.prefix = node.text.ends_with('*');
    const auto path =
        normal_path(std::string_view(node.text).substr(0, node.text.size() - (route.prefix ? 1 : 0)));
    if (!path) return static_cast<void>(refuse(context, node, kExpected));
    route.path = *path;
  };
  return option;
}

// A key that says what kind of route this is.
Option kind_option(std::string key, RouteKind kind, bool several, std::string doc) {
  Option option{.key = std::move(key),
                .type = several ? "string or list of strings" : "string",
                .range = "names of origins",
                .doc = std::move(doc)};
  option.read = [kind, several](Context& context, const Node& node, void* owner) {
    Route& route = *static_cast<Route*>(owner);
    route.kind = kind;
    if (several && node.is(Node::Kind::array)) {
      if (auto names = list_of(text(), "list of origin names", 1).parse(context, node))
        route.origins = *names;
    } else if (node.is(Node::Kind::string) && !node.text.empty()) {
      route.origins = {node.text};
    } else {
      refuse(context, node, several ? "the name of an origin or a list of names" : "the name of an origin");
    }
  };
  return option;
}

Option redirect_option() {
  using R = Redirect;
  Option option{.key = "redirect",
                .shape = Option::Shape::table,
                .type = "string or table",
                .doc = "Answer with a redirect instead of content. A string is `to` alone."};
  Option to = required(value("to", &R::to, text("string", "a URL or path"), Reload::live,
                             "Where to. `$scheme`, `$host`, `$request_uri` (path and query as sent) and "
                             "`$rest` (what the `*` of `path` matched, and the query) are filled in; `$$` is "
                             "a dollar sign."));
  to.read = [](Context& context, const Node& node, void* owner) {
    const auto target = text().parse(context, node);
    if (!target) return;
    auto parts = parse_redirect(*target);
    if (!parts) {
      context.error(node.at, parts.error());
      return;
    }
    auto& redirect = *static_cast<Redirect*>(owner);
    redirect.to = *target;
    redirect.parts = std::move(*parts);
  };
  Option status = value(
      "status", &R::status,
      [] {
        Type<std::uint16_t> type{"integer", "301, 302, 303, 307 or 308", {}, {}};
        type.parse = [](Context& context, const Node& node) -> std::optional<std::uint16_t> {
          static constexpr std::int64_t kStatuses[] = {301, 302, 303, 307, 308};
          if (node.is(Node::Kind::integer) &&
              std::ranges::find(kStatuses, node.integer) != std::end(kStatuses)) {
            return static_cast<std::uint16_t>(node.integer);
          }
          return refuse(context, node, "301, 302, 303, 307 or 308");
        };
        type.show = [](const std::uint16_t& code) { return fmt::format("{}", code); };
        return type;
      }(),
      Reload::live, "The status of the answer. 307 and 308 keep the method.");
  option.children = {std::move(to), std::move(status)};
  option.read = [rows = option.children](Context& context, const Node& node, void* owner) {
    Route& route = *static_cast<Route*>(owner);
    route.kind = RouteKind::redirect;
    if (node.is(Node::Kind::string)) {
      rows[0].read(context, node, &route.redirect);
    } else if (node.is(Node::Kind::table)) {
      read_members(context, node, rows, &route.redirect);
    } else {
      refuse(context, node, "a URL or a table with \"to\" and \"status\"");
    }
  };
  return option;
}

std::vector<Option> header_rows() {
  using Fields = std::vector<std::pair<std::string, std::string>>;
  Type<Fields> fields{"table of strings", "", {}, {}};
  fields.parse = [](Context& context, const Node& node) -> std::optional<Fields> {
    if (!node.is(Node::Kind::table)) return refuse(context, node, "a table of strings");
    Fields out;
    for (const Member& member : node.members) {
      if (const auto wrong = bad_field_name(member.key)) context.error(member.at, *wrong);
      if (const auto field = text("string", "", bad_field_value).parse(context, member.value)) {
        out.emplace_back(member.key, *field);
      }
    }
    return out;
  };
  fields.show = [](const Fields&) { return std::string("{}"); };
  using H = RouteHeaders;
  return {
      value("set", &H::set, fields, Reload::live,
            "Fields of the response to the client, in place of any of the same name."),
      value("remove", &H::remove, list_of(text("string", "", bad_field_name), "list of strings"),
            Reload::live, "Fields of the response to take away."),
  };
}

Option max_body_option() {
  Option option = value("max_body", &Route::max_body, size(0, 1ULL << 40), Reload::live,
                        "Longest request body; a longer one is answered 413.");
  option.fallback = "limits.body";
  return option;
}

Option strip_prefix_option() {
  Option option = value("strip_prefix", &Route::strip_prefix, boolean(), Reload::live,
                        "Ask the origin for what the `*` of `path` matched, instead of the whole path.");
  option.fallback = "false for servers, true for s3 and directory";
  return option;
}

Option uploads_option() {
  return value(
      "uploads", &Route::uploads, choice<Uploads>({{"spool", Uploads::spool}, {"stream", Uploads::stream}}),
      Reload::live,
      "`\"spool\"`: a request body is taken from the client whole, up to 256 KiB of it in memory and "
      "the rest in an unlinked file (`[spool]`), before a server is asked. A slow client then keeps no "
      "server busy, a server that fails before it answers costs an idempotent request nothing, and the "
      "server sees a length. `\"stream\"`: each piece goes on as it comes. gRPC is always streamed, and so "
      "is what "
      "finds no room.");
}

std::vector<Option> route_options() {
  using R = Route;
  return {
      path_option(),
      value("methods", &R::methods, list_of(text("string", "", bad_method), "list of methods", 1),
            Reload::live, "The methods this route matches. Without it, all."),
      kind_option("origin", RouteKind::origin, true,
                  "Where the response comes from. In a list the first is primary; the others are asked in "
                  "turn when no server of those before is up."),
      kind_option("images", RouteKind::images, false,
                  "Serve resizes of that origin's photos: below its prefix the path is "
                  "`SIGNATURE/OPERATIONS/KEY`."),
      kind_option("gallery", RouteKind::gallery, false,
                  "Serve a page that shows the photos of that directory origin, through the `images` route "
                  "of the same site."),
      redirect_option(),
      strip_prefix_option(),
      route_cache_option(),
      route_compress_option(),
      table("geo", &R::geo, route_geo_rows(),
            "Rules by the client's country, and what origins are told of it; they need the databases of "
            "`[geo]`."),
      value("allow", &R::allow, list_of(network(), "list of networks"), Reload::live,
            "Answer 403 to clients from any other address."),
      value("deny", &R::deny, list_of(network(), "list of networks"), Reload::live,
            "Answer 403 to clients from there. Asked before `allow`."),
      maybe_table("rate_limit", &R::rate_limit, rate_limit_options(),
                  "How many requests to this route one client may make; more are answered 429 with "
                  "`Retry-After`. `limits.rate_limit` holds beside it."),
      value(
          "purge_from", &R::purge_from, list_of(network(), "list of networks"), Reload::live,
          "Networks from which a `PURGE` request removes what is stored under its URL, a photo with all its "
          "sizes; others get 403. Its field `Purge-Mode` says how: `hard` (the default), `soft`: stale, "
          "`erase`: the bytes on disk are overwritten before it is answered. Without the option, PURGE is a "
          "method like any other."),
      table("headers", &R::headers, header_rows(), "Header fields of the response."),
      max_body_option(),
      value(
          "websocket", &R::websocket, boolean(), Reload::live,
          "Let clients turn a request into a WebSocket connection (RFC 6455) to a server of the origin. "
          "Without "
          "it, or when the server does not agree, it is a request like any other. `timeouts.tunnel` says how "
          "long one may be idle."),
      uploads_option(),
  };
}

}  // namespace

std::optional<std::string> read_host(const Node& node) {
  if (!node.is(Node::Kind::string)) return std::nullopt;
  if (node.text == "*") return node.text;
  const bool wildcard = node.text.starts_with("*.");
  const auto parsed = parse_address((wildcard ? node.text.substr(2) : node.text) + ":1");
  if (!parsed || parsed->kind != Address::Kind::tcp || (wildcard && parsed->is_ip)) return std::nullopt;
  const std::string plain =
      parsed->host.find(':') == std::string::npos ? parsed->host : "[" + parsed->host + "]";
  return wildcard ? "*." + plain : plain;
}

std::vector<Option> site_options() {
  return {
      required(value("hosts", &Site::hosts, list_of(host(), "list of hosts", 1), Reload::live,
                     "The names it answers to; `\"*.example.com\"` is every name below, not the name itself, "
                     "`\"*\"` any host. The most exact match wins, whatever the order.")),
      value("merge_slashes", &Site::merge_slashes, boolean(), Reload::live,
            "Take several slashes in a row for one, as many app servers do: with rules about `/admin/*` in "
            "front of such a server, `//admin/` should not go by another route. Object stores tell such "
            "names apart."),
      value(
          "encoded_slash", &Site::encoded_slash,
          choice<http::EncodedSlash>({{"keep", http::EncodedSlash::keep},
                                      {"decode", http::EncodedSlash::decode},
                                      {"reject", http::EncodedSlash::reject}}),
          Reload::live,
          "What `%2F` in a path is: `\"keep\"`: part of a name, sent on as it is; `\"decode\"`: a slash, for "
          "routes, cache and origin alike; `\"reject\"`: answered 400. A route in front of a server that "
          "decodes before it looks is safe with one of the other two."),
      tables("route", &Site::routes, route_options(),
             "What is served under a path. A request that no route of its site matches is answered 404."),
  };
}

}  // namespace vignette::conf
