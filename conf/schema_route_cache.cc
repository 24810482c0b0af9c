// The rows of `cache` in [[site.route]].
#include <algorithm>

#include "base/strings.h"
#include "conf/option_types.h"
#include "http/field_list.h"

namespace vignette::conf {
namespace {

using std::chrono::hours;
using C = RouteCache;
using K = RouteCacheKey;

std::optional<std::string> bad_key_header(std::string_view name) {
  if (!http::is_token(name)) return fmt::format("\"{}\" is not a header field name", name);
  const std::string lower = to_lower(name);
  if (lower == "cookie") return "name the cookies that matter in \"cookies\"";
  if (lower == "host") return "the host is always in the key";
  return std::nullopt;
}

std::optional<std::string> bad_cookie(std::string_view name) {
  if (http::is_token(name)) return std::nullopt;
  return fmt::format("\"{}\" is not the name of a cookie", name);
}

// "utm_*", "page": no delimiters of a query, a * only at the end.
std::optional<std::string> bad_query_name(std::string_view name) {
  const std::string_view stem = name.substr(0, name.size() - (name.ends_with('*') ? 1 : 0));
  const auto bad = [](char c) {
    return c <= ' ' || c == '\x7f' || c == '&' || c == '=' || c == '*' || c == '#';
  };
  if (!name.empty() && std::ranges::none_of(stem, bad)) return std::nullopt;
  return fmt::format("\"{}\" is not the name of a query parameter, decoded, with a * at most at its end",
                     name);
}

void sort_once(std::vector<std::string>& names, bool to_lower_case) {
  if (to_lower_case) std::ranges::for_each(names, lower_in_place);
  std::ranges::sort(names);
  const auto repeated = std::ranges::unique(names);
  names.erase(repeated.begin(), repeated.end());
}

Option names_option(std::string key, std::vector<std::string> K::* member, const Accepts& accepts,
                    bool lower_case, std::string doc) {
  const auto type = list_of(text("string", "", accepts), "list of strings");
  Option option = value(std::move(key), member, type, Reload::live, std::move(doc));
  option.read = [member, type, lower_case](Context& context, const Node& node, void* owner) {
    auto names = type.parse(context, node);
    if (!names) return;
    sort_once(*names, lower_case);
    static_cast<K*>(owner)->*member = std::move(*names);
  };
  return option;
}

Option query_option() {
  Option option{.key = "query",
                .type = "string or list of strings",
                .range = "\"all\", \"none\" or names",
                .fallback = "\"all\"",
                .doc =
                    "The query parameters that tell objects apart. `\"all\"`: the query as it came. A list: "
                    "these, sorted by name; a final `*` stands for any end. What is left out is not sent to "
                    "the origin either, so that no answer can depend on it."};
  option.read = [](Context& context, const Node& node, void* owner) {
    K& key = *static_cast<K*>(owner);
    const auto type = list_of(text("string", "", bad_query_name), "list of names");
    if (node.is(Node::Kind::array)) {
      if (auto names = type.parse(context, node)) key.query_names = std::move(*names);
      key.query = K::Query::listed;
    } else if (node.is(Node::Kind::string) && (node.text == "all" || node.text == "none")) {
      key.query = node.text == "all" ? K::Query::all : K::Query::none;
    } else {
      refuse(context, node, "\"all\", \"none\" or a list of names");
    }
  };
  return option;
}

std::vector<Option> key_rows() {
  return {
      query_option(),
      names_option("ignore_query", &K::ignore_query, bad_query_name, false,
                   "Query parameters to leave out, as with `query`; the others stay, sorted by name: "
                   "`[\"utm_*\", \"fbclid\"]`."),
      names_option("headers", &K::headers, bad_key_header, true,
                   "Request fields whose values tell objects apart, in addition to what `Vary` names. "
                   "Of `Accept-Encoding`, `br`, `gzip` and `zstd` count."),
      names_option("cookies", &K::cookies, bad_cookie, false,
                   "Cookies whose values tell objects apart. All cookies are sent to the origin."),
  };
}

Option mode_option() {
  Option mode =
      value("mode", &C::mode,
            choice<CacheMode>(
                {{"on", CacheMode::on}, {"explicit", CacheMode::explicit_only}, {"off", CacheMode::off}}),
            Reload::live,
            "`\"explicit\"` stores what the origin or `ttl` gives a lifetime, `\"on\"` also what RFC 9111 "
            "allows a heuristic lifetime, `\"off\"` nothing.");
  mode.fallback = "\"explicit\" for servers, else \"on\"";
  return mode;
}

std::vector<Option> lifetime_rows() {
  const auto lifetime = duration(milliseconds(0), hours(24 * 3650));
  const auto window = duration(milliseconds(0), hours(24 * 365));
  return {
      value("ttl", &C::ttl, maybe(lifetime, "\"1d\" for s3, directories and images, else none"), Reload::live,
            "Lifetime of a response whose origin says nothing about it. What the origin says goes first."),
      value("min_ttl", &C::min_ttl, lifetime, Reload::live,
            "Shorter lifetimes that the origin gives become this one, `max-age=0` too. What the origin "
            "forbids to store or to reuse "
            "(`no-store`, `private`, `no-cache`) stays so."),
      value("max_ttl", &C::max_ttl, maybe(lifetime, "none"), Reload::live,
            "Longer lifetimes that the origin gives, or that are guessed, become this one."),
      value("negative_ttl", &C::negative_ttl, maybe(lifetime, "\"10s\" where there is a ttl, else none"),
            Reload::live, "Lifetime of a 404 or 410 whose origin says nothing about it."),
      value("stale_while_revalidate", &C::stale_while_revalidate,
            maybe(window, "\"1m\" for s3, directories and images, else \"0s\""), Reload::live,
            "How long after its lifetime a stored response is served while it is fetched again behind (RFC "
            "5861); the origin's own value goes first."),
      value("stale_if_error", &C::stale_if_error, window, Reload::live,
            "How long after its lifetime a stored response is served when the origin fails (RFC 5861); the "
            "origin's own value goes first."),
  };
}

}  // namespace

Option route_cache_option() {
  Option option{.key = "cache",
                .shape = Option::Shape::table,
                .type = "string or table",
                .fallback = "\"explicit\" for servers, else \"on\"",
                .doc = "Whether responses are stored. A string is `mode` alone."};
  option.children = {mode_option()};
  for (Option& row : lifetime_rows()) option.children.push_back(std::move(row));
  option.children.push_back(value(
      "obey_client", &C::obey_client, boolean(), Reload::live,
      "Do what the Cache-Control of a request asks for: `no-cache`, `no-store`, `max-age`, `min-fresh`, "
      "`max-stale`, `only-if-cached`. Anybody can then make the origin work for each request."));
  option.children.push_back(
      value("store_set_cookie", &C::store_set_cookie, boolean(), Reload::live,
            "Store responses that set cookies, and set them for everybody who is served from the cache."));
  option.children.push_back(value(
      "send_tags", &C::send_tags, boolean(), Reload::live,
      "Send Cache-Tag, Surrogate-Key, xkey and Cache-Groups on to clients. Purges know the tags of what is "
      "stored in either case; what was stored without the fields stays without them."));
  option.children.push_back(table("key", &C::key, key_rows(),
                                  "What tells objects apart beside scheme, host, port and path; for origins "
                                  "with servers."));
  option.read = [rows = option.children](Context& context, const Node& node, void* owner) {
    RouteCache& cache = static_cast<Route*>(owner)->cache;
    if (node.is(Node::Kind::string)) {
      rows[0].read(context, node, &cache);
    } else if (node.is(Node::Kind::table)) {
      read_members(context, node, rows, &cache);
    } else {
      refuse(context, node, "\"on\", \"explicit\", \"off\" or a table");
    }
  };
  return option;
}

}  // namespace vignette::conf
