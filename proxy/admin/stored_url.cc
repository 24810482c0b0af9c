#include "proxy/admin/stored_url.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "cache/key.h"
#include "cache/purge/identity.h"
#include "http/url.h"
#include "imaging/url.h"
#include "proxy/media/image_origin.h"
#include "proxy/policy/cache_key.h"
#include "proxy/route/route_path.h"

namespace vignette::proxy {
namespace {

using Failure = std::unexpected<std::string>;

// What is wrong with the path of a URL, for who typed it.
std::string_view sentence_of(http::PathError error) {
  switch (error) {
    case http::PathError::not_absolute:
      return "its path does not begin with \"/\"";
    case http::PathError::bad_percent:
      return "a \"%\" in it is not followed by two hex digits; write %25 for the character itself";
    case http::PathError::nul:
      return "it holds a NUL byte (%00), which no path may have";
    case http::PathError::backslash:
      return "it holds a backslash; write %5C";
    case http::PathError::above_root:
      return "its \"..\" lead above the root";
    case http::PathError::hidden_dots:
      return "it hides \".\" or \"..\" beside an encoded slash";
    case http::PathError::control:
      return "it holds a space, a control or a letter beyond ASCII; percent-encode it, as %20 for a space";
    case http::PathError::encoded_slash:
      return "it holds %2F, which its site does not take";
    case http::PathError::no_room:
      break;
  }
  return "it is too long";
}

// `<sig>/<ops>/<key>[@fmt]`: which photo it is; who asks here needs no signature and no valid operations.
std::expected<std::string, std::string> photo_path(const conf::Route& route, const UrlParts& url) {
  std::string_view rest = image_path(route, url.raw_path, url.path);
  for (int segment = 0; segment < 2; ++segment) {
    const std::size_t slash = rest.find('/');
    if (slash == rest.npos) return Failure("the URL of an image is PREFIX/SIGNATURE/OPERATIONS/KEY");
    rest.remove_prefix(slash + 1);
  }
  const auto key = imaging::decode_key(imaging::split_suffix(rest).key);
  if (!key) return Failure("the key of the image is not acceptable");
  std::string path = "/";
  path += percent_encode(*key, kUnreservedPath);
  return path;
}

StoredUrl photo_at(const Route& route, std::string_view path, std::string_view query) {
  StoredUrl found{.route = &route, .is_photo = true, .key_string = {}, .target = {}};
  original_key(*route.origins.front(), path, query, found.key_string);
  found.target = {.kind = cache::PurgeKind::tag, .name = cache::self_tag(found.key_string), .origin = {}};
  return found;
}

// What a prefix of URLs means on one route that has URLs below it. Empty: nothing is stored there.
std::expected<std::vector<cache::PurgeTarget>, std::string> below_route(const Route& route,
                                                                        std::string_view authority,
                                                                        std::string_view path) {
  std::vector<cache::PurgeTarget> targets;
  const conf::Route& options = *route.options;
  const bool inside = path.size() > options.path.size();  // else all that the route answers is below
  const bool is_image = options.kind == conf::RouteKind::images;
  if (!is_image && options.kind != conf::RouteKind::origin) return targets;
  if (is_image && inside) {
    return Failure(
        fmt::format("a prefix inside {} names signatures, not photos; name the start of their keys: prefix "
                    "\"/…\" of origin \"{}\"",
                    route.label, route.origins.front()->name()));
  }
  cache::PurgeTarget target{.kind = cache::PurgeKind::prefix, .name = {}, .origin = {}};
  if (is_image || route.origins.front()->is_store()) {
    std::string scratch;
    const std::string_view start =
        is_image ? "/" : origin_path(options, inside ? path : std::string_view(options.path), scratch);
    cache::build_key({.path = start}, target.name);
    target.origin = route.origins.front()->name();
  } else {
    cache::build_key({.host = authority, .path = inside ? path : std::string_view(options.path)},
                     target.name);
  }
  targets.push_back(std::move(target));
  return targets;
}

bool may_lie_below(const conf::Route& route, std::string_view path) {
  if (std::string_view(route.path).starts_with(path)) return true;
  return route.prefix && path.starts_with(route.path);
}

}  // namespace

std::expected<ReadUrl, std::string> read_url(const Router& router, std::string_view text) {
  ReadUrl read;
  const auto url = http::parse_absolute_url(text);
  if (!url) return Failure(fmt::format("\"{}\" is not an http or https URL without a fragment", text));
  read.url = *url;
  read.authority = to_lower(url->authority);
  const auto authority = http::parse_authority(read.authority);
  if (!authority) return Failure(fmt::format("\"{}\" names no host", text));
  read.host = authority->host;
  read.port = authority->port;
  if (std::ranges::any_of(url->query, [](char c) { return c <= ' ' || c == 0x7F; })) {
    return Failure(fmt::format("\"{}\" is not a URL: {}", text, sentence_of(http::PathError::control)));
  }
  const std::string_view path = url->path.empty() ? std::string_view("/") : url->path;
  std::string normal(path.size(), '\0');
  const auto normalised = http::normalize_path(path, normal, path_rules(router.find_site(read.host)));
  if (!normalised) {
    return Failure(fmt::format("\"{}\" is not a URL: {}", text, sentence_of(normalised.error())));
  }
  read.normal_path = std::string(*normalised);
  return read;
}

std::expected<StoredUrl, std::string> find_stored(const Route& route, const UrlParts& url) {
  const conf::Route& options = *route.options;
  if (options.kind == conf::RouteKind::images) {
    auto path = photo_path(options, url);
    if (!path) return Failure(path.error());
    return photo_at(route, *path, {});
  }
  if (options.kind != conf::RouteKind::origin) return Failure("nothing at this URL is ever stored");
  const Origin& origin = *route.origins.front();
  std::string scratch;
  if (origin.is_store())
    return photo_at(route, origin_path(options, url.path, scratch), origin.object_query(url.query));
  StoredUrl found{.route = &route, .is_photo = false, .key_string = {}, .target = {}};
  const auto query = select_query(options.cache.key, url.has_query, url.query, scratch);
  cache::build_key({.host = url.authority, .path = url.path, .query = query}, found.key_string);
  found.target = {.kind = cache::PurgeKind::url, .name = found.key_string, .origin = {}};
  return found;
}

std::expected<StoredUrl, std::string> find_stored(const Snapshot& snapshot, std::string_view url) {
  const auto read = read_url(*snapshot.router, url);
  if (!read) return Failure(read.error());
  const RouteMatch match = snapshot.router->match(read->host, read->normal_path, "GET");
  if (!match.route) return Failure(fmt::format("no route answers GET {}", url));
  return find_stored(*match.route, {.authority = read->authority,
                                    .raw_path = read->url.path,
                                    .path = read->normal_path,
                                    .query = read->url.query,
                                    .has_query = read->url.has_query});
}

std::expected<std::vector<cache::PurgeTarget>, std::string> find_below(const Snapshot& snapshot,
                                                                       std::string_view url) {
  const auto read = read_url(*snapshot.router, url);
  if (!read) return Failure(read.error());
  if (read->url.has_query) return Failure("a prefix of URLs has no query");
  const Site* site = snapshot.router->find_site(read->host);
  if (!site) return Failure(fmt::format("no site is called \"{}\"", read->host));
  std::vector<cache::PurgeTarget> targets;
  for (const auto& route : site->routes) {
    if (!may_lie_below(*route->options, read->normal_path)) continue;
    auto below = below_route(*route, read->authority, read->normal_path);
    if (!below) return Failure(below.error());
    std::ranges::move(*below, std::back_inserter(targets));
  }
  if (targets.empty()) return Failure(fmt::format("nothing below {} is ever stored", url));
  return targets;
}

}  // namespace vignette::proxy
