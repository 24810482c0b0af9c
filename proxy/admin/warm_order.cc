#include "proxy/admin/warm_order.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/strings.h"
#include "cache/manifest.h"
#include "cache/warm/hot_list.h"
#include "http/url.h"

namespace vignette::proxy {
namespace {

using Failure = std::unexpected<std::string>;

constexpr std::string_view kChunk = "chunk=";
constexpr std::string_view kOriginal = "@original=";
constexpr std::string_view kImage = "@image=";
constexpr std::string_view kInfo = "@info=";
constexpr std::string_view kCookie = "cookie ";
constexpr std::string_view kAuto = ",f=auto";

// Where a request goes.
struct Target {
  std::string host;
  std::string path;  // with the query
};

bool is_visible(std::string_view text) {
  return !text.empty() && std::ranges::none_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= ' ' || byte == 0x7F;
  });
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (const std::string_view line : split(text, '\n')) lines.push_back(line);
  return lines;
}

std::expected<std::string, std::string> head_of(const Target& target, std::string_view fields) {
  if (!is_visible(target.host) || !is_visible(target.path) || fields.find('\r') != fields.npos) {
    return Failure("it has bytes that no request can have");
  }
  std::string head = fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\n", target.path, target.host);
  for (const std::string_view line : split(fields, '\n')) {
    if (!line.empty()) head.append(line).append("\r\n");
  }
  return head + "\r\n";
}

// Lines of a key behind the scheme: what Vary and the route's key selected by, in the form of fields again.
std::string fields_of(std::span<const std::string_view> lines) {
  std::string fields, cookies;
  for (const std::string_view line : lines) {
    const auto [name, value, found] = split_once(line, ':');
    if (!found || value.empty()) continue;
    if (name.starts_with(kCookie)) {
      cookies += fmt::format("{}{}={}", cookies.empty() ? "" : "; ", name.substr(kCookie.size()), value);
    } else {
      fields += fmt::format("{}: {}\n", name, value);
    }
  }
  if (!cookies.empty()) fields += fmt::format("cookie: {}\n", cookies);
  return fields;
}

// Some name of the site.
std::string host_of(const Site& site) {
  if (site.name == "*") return "localhost";
  return site.name.starts_with("*.") ? "warm" + site.name.substr(1) : site.name;
}

// The part of a URL behind an images route's prefix that asks for this; unsigned, as the node may.
std::string image_path(std::string_view what, std::string_view operations, std::string_view path) {
  if (what == kOriginal) return fmt::format("-/original{}", path);
  if (what == kInfo) return fmt::format("-/info{}", path);
  if (operations.ends_with(kAuto)) operations.remove_suffix(kAuto.size());
  return fmt::format("-/{}{}", operations.empty() ? "fit=inside" : operations, path);
}

// How this route is asked for the photo; nullopt: it does not lead there.
std::optional<std::string> path_through(const Route& route, std::string_view what,
                                        std::string_view operations, std::string_view path) {
  const conf::Route& options = *route.options;
  if (options.kind == conf::RouteKind::images) return options.path + image_path(what, operations, path);
  if (options.kind != conf::RouteKind::origin || what != kOriginal) return std::nullopt;
  if (!options.strip_prefix) return std::string(path);
  std::string_view prefix = options.path;
  if (prefix.ends_with('/')) prefix.remove_suffix(1);
  return std::string(prefix) + std::string(path);
}

bool answers(const Snapshot& snapshot, const Route& route, const Target& target) {
  const Site* site = snapshot.router->find_site(target.host);
  const auto normal =
      http::normalize_path(std::string_view(target.path).substr(0, target.path.find('?')), path_rules(site));
  return normal && Router::match(site, *normal, "GET").route == &route;
}

std::optional<Target> find_photo(const Snapshot& snapshot, std::string_view what, std::string_view origin,
                                 std::string_view operations, std::string_view path) {
  for (const auto& site : snapshot.router->sites()) {
    for (const auto& route : site->routes) {
      if (route->origins.empty() || route->origins.front()->name() != origin) continue;
      auto asked = path_through(*route, what, operations, path);
      if (!asked) continue;
      Target target{host_of(*site), std::move(*asked)};
      if (answers(snapshot, *route, target)) return target;
    }
  }
  return std::nullopt;
}

std::expected<std::string, std::string> range_of(std::string_view chunk) {
  const auto index = parse_u64(chunk.substr(kChunk.size()), std::uint64_t{1} << 40);
  if (!index) return Failure("it is neither a URL nor a key of this node");
  const std::uint64_t first = *index * cache::kChunkBytes;
  return fmt::format("range: bytes={}-{}\n", first, first + cache::kChunkBytes - 1);
}

std::expected<WarmOrder, std::string> order_of_photo(const Snapshot& snapshot, std::string_view what,
                                                     std::span<const std::string_view> lines,
                                                     const std::string& range) {
  const std::string_view origin = lines[1].substr(what.size());
  const bool has_operations = what == kImage;
  if (has_operations && lines.size() < 3) return Failure("it is neither a URL nor a key of this node");
  auto target = find_photo(snapshot, what, origin, has_operations ? lines[2] : std::string_view(), lines[0]);
  if (!target) return Failure(fmt::format("no route leads to this of origin \"{}\"", origin));
  auto head = head_of(*target, fields_of(lines.subspan(has_operations ? 3 : 2)) + range);
  if (!head) return Failure(head.error());
  return WarmOrder{.tls = false, .head = std::move(*head), .key_string = {}};
}

std::expected<WarmOrder, std::string> order_of_page(std::span<const std::string_view> lines,
                                                    const std::string& range) {
  const std::size_t slash = lines[0].find('/');
  if (slash == lines[0].npos || (lines[1] != "http" && lines[1] != "https")) {
    return Failure("no request of ours gives this key");
  }
  const Target target{std::string(lines[0].substr(0, slash)), std::string(lines[0].substr(slash))};
  auto head = head_of(target, fields_of(lines.subspan(2)) + range);
  if (!head) return Failure(head.error());
  return WarmOrder{.tls = lines[1] == "https", .head = std::move(*head), .key_string = {}};
}

std::expected<WarmOrder, std::string> order_of_key(const Snapshot& snapshot, std::string_view key_string) {
  std::vector<std::string_view> lines = lines_of(key_string);
  std::string range;
  if (lines.back().starts_with(kChunk)) {
    auto read = range_of(lines.back());
    if (!read) return Failure(read.error());
    range = std::move(*read);
    lines.pop_back();
  }
  if (lines.size() < 2) return Failure("it is neither a URL nor a key of this node");
  for (const std::string_view what : {kOriginal, kImage, kInfo}) {
    if (lines[1].starts_with(what)) return order_of_photo(snapshot, what, lines, range);
  }
  return order_of_page(lines, range);
}

std::expected<WarmOrder, std::string> order_of_url(std::string_view text, std::string_view fields) {
  const auto url = http::parse_absolute_url(text);
  if (!url) return Failure("it is not an http or https URL without a fragment");
  Target target{std::string(url->authority), url->path.empty() ? "/" : std::string(url->path)};
  if (url->has_query) target.path.append("?").append(url->query);
  auto head = head_of(target, fields);
  if (!head) return Failure(head.error());
  return WarmOrder{.tls = iequals(url->scheme, "https"), .head = std::move(*head), .key_string = {}};
}

}  // namespace

std::string_view to_string(WarmReply::Outcome outcome) {
  switch (outcome) {
    case WarmReply::Outcome::hit:
      return "hit";
    case WarmReply::Outcome::stored:
      return "stored";
    case WarmReply::Outcome::failed:
      return "failed";
  }
  return "unknown";
}

std::expected<WarmOrder, std::string> read_warm_order(std::string_view text, const Snapshot& snapshot) {
  const auto [first, fields, more] = split_once(text, '\n');
  if (http::parse_absolute_url(first)) return order_of_url(first, fields);
  const auto key_string = cache::unescape_key(first);
  if (!key_string || !fields.empty()) return Failure("it is neither a URL nor a line's key of a hot list");
  auto order = order_of_key(snapshot, *key_string);
  if (order) order->key_string = *key_string;
  return order;
}

std::string warm_reply_json(const WarmReply& reply) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().field("outcome", to_string(reply.outcome)).field("status", reply.status);
  if (!reply.reason.empty()) json.field("reason", reply.reason);
  json.end_object();
  return text;
}

}  // namespace vignette::proxy
