#include "conf/validate_site.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/strings.h"
#include "conf/schema.h"
#include "http/url.h"

namespace vignette::conf {
namespace {

// One route with its table in the file.
struct Place {
  Context& context;
  const Config& config;
  const Node& node;
};

const Node* names_of(const Place& place, RouteKind kind) { return place.node.find(to_string(kind)); }

const Position& name_position(const Node& named, std::size_t index) {
  return named.is(Node::Kind::array) && index < named.items.size() ? named.items[index].at : named.at;
}

void check_references(const Place& place, const Route& route) {
  std::vector<std::string> known;
  known.reserve(place.config.origins.size());
  for (const Origin& origin : place.config.origins) known.push_back(origin.name);
  for (std::size_t i = 0; i < route.origins.size(); ++i) {
    const std::string& name = route.origins[i];
    const Position& at = name_position(*names_of(place, route.kind), i);
    if (!place.config.find_origin(name)) {
      place.context.error(at, fmt::format("there is no origin \"{}\"{}", name, suggestion(name, known)));
    } else if (std::ranges::count(route.origins.begin(),
                                  route.origins.begin() + static_cast<std::ptrdiff_t>(i), name) > 0) {
      place.context.error(at, fmt::format("origin \"{}\" is in this list twice", name));
    }
  }
}

// Exactly one of the four keys that make a route's kind.
bool check_route_kind(const Place& place, const Route& route) {
  std::vector<const Member*> found;
  for (const char* key : {"origin", "images", "gallery", "redirect"}) {
    if (const Member* member = place.node.find_member(key)) found.push_back(member);
  }
  if (found.empty()) {
    place.context.error(route.where,
                        "a route needs one of \"origin\", \"images\", \"gallery\" or \"redirect\"");
  } else if (found.size() > 1) {
    place.context.error(found[1]->at, fmt::format("\"{}\" does not go with \"{}\" in one route",
                                                  found[1]->key, found[0]->key));
  }
  return found.size() == 1;
}

void check_foreign_keys(const Place& place, const Route& route) {
  std::vector<std::string> foreign;
  if (route.kind != RouteKind::origin) {
    foreign = {"strip_prefix", "max_body", "websocket", "compress", "uploads"};
  }
  if (route.kind == RouteKind::redirect || route.kind == RouteKind::gallery) foreign.emplace_back("cache");
  for (const std::string& key : foreign) {
    if (const Member* member = place.node.find_member(key)) {
      place.context.error(member->at, fmt::format("\"{}\" has no meaning in a route with \"{}\"", key,
                                                  to_string(route.kind)));
    }
  }
}

void check_kind_rules(const Place& place, const Site& site, const Route& route) {
  const Node* path = place.node.find("path");
  if (route.kind == RouteKind::images && path && !route.path.empty() &&
      !(route.prefix && route.path.ends_with('/'))) {
    place.context.error(path->at, "the path of an images route ends in /*");
  }
  const ImageOptions& images = place.config.images;
  if (route.kind == RouteKind::images && images.keys.empty() &&
      images.unsigned_access == UnsignedImages::off) {
    place.context.error(
        names_of(place, route.kind)->at,
        "every image would be refused: images.keys has no key and images.unsigned is \"off\"");
  }
  if (route.kind == RouteKind::redirect && path && !route.prefix) {
    const auto rest = std::ranges::find(route.redirect.parts, RedirectPart::Kind::rest, &RedirectPart::kind);
    if (rest != route.redirect.parts.end()) {
      place.context.error(names_of(place, route.kind)->at, "$rest needs a path that ends in *");
    }
  }
  if (route.kind != RouteKind::gallery || route.origins.empty()) return;
  const Position& at = names_of(place, route.kind)->at;
  const Origin* origin = place.config.find_origin(route.origins[0]);
  if (origin && origin->kind != OriginKind::directory) {
    place.context.error(at, fmt::format("a gallery shows a directory, and origin \"{}\" has \"{}\"",
                                        origin->name, to_string(origin->kind)));
  }
  const bool shown = std::ranges::any_of(site.routes, [&](const Route& other) {
    return other.kind == RouteKind::images && other.origins == route.origins;
  });
  if (!shown) {
    place.context.error(
        at, fmt::format("a gallery needs a route of the same site with images = \"{}\"", route.origins[0]));
  }
}

void check_websocket(const Place& place, const Route& route) {
  if (!route.websocket || route.kind != RouteKind::origin) return;
  for (const std::string& name : route.origins) {
    const Origin* origin = place.config.find_origin(name);
    if (!origin || origin->kind == OriginKind::servers) continue;
    place.context.error(place.node.find("websocket")->at,
                        fmt::format("origin \"{}\" has \"{}\", and only servers speak WebSocket", name,
                                    to_string(origin->kind)));
    return;
  }
}

// The keys of [geo] of which one must be there for a value of the field to be known; "" where none is needed.
std::string_view databases_of(const GeoOptions& geo, ViewerField field) {
  switch (field) {
    case ViewerField::address:
      return {};
    case ViewerField::asn:
      return geo.asn.empty() ? "geo.asn" : "";
    case ViewerField::country:
    case ViewerField::country_name:
      return geo.country.empty() && geo.city.empty() ? "geo.country or geo.city" : "";
    default:
      return geo.city.empty() ? "geo.city" : "";
  }
}

void check_viewer_fields(const Place& place, const Node& geo, const ViewerFields& fields) {
  const GeoOptions& databases = place.config.geo;
  if (fields.all()) {
    const bool has_none = databases.country.empty() && databases.city.empty() && databases.asn.empty();
    if (has_none) place.context.error(geo.at, "headers need a database in [geo]");
    return;
  }
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (!fields[i]) continue;
    const std::string_view lacks = databases_of(databases, static_cast<ViewerField>(i));
    if (!lacks.empty()) {
      place.context.error(geo.at, fmt::format("{} needs {}, a database", kViewerFieldNames[i], lacks));
    }
  }
}

void check_geo(const Place& place, const Route& route) {
  const Node* geo = place.node.find("geo");
  if (!geo) return;
  const bool has_rules = !route.geo.allow_countries.empty() || !route.geo.deny_countries.empty();
  const bool has_countries = !place.config.geo.country.empty() || !place.config.geo.city.empty();
  if (has_rules && !has_countries) {
    place.context.error(geo->at, "rules by country need geo.country or geo.city, a database");
  }
  check_viewer_fields(place, *geo, route.geo.headers);
}

// A field that the origin is not told never has a value: it would be in every key, and the same in all.
void check_viewer_keys(const Place& place, const Route& route) {
  for (std::size_t i = 0; i < kViewerFieldNames.size(); ++i) {
    if (route.geo.headers[i]) continue;
    const std::string name = to_lower(kViewerFieldNames[i]);
    if (std::ranges::find(route.cache.key.headers, name) == route.cache.key.headers.end()) continue;
    place.context.error(
        place.node.find("cache")->find("key")->find("headers")->at,
        fmt::format("{} is in no key without geo.headers that names it", kViewerFieldNames[i]));
  }
}

// Keys of `cache` that contradict each other or the origin.
void check_cache(const Place& place, const Node& options, bool from_servers, const RouteCache& cache) {
  const auto wrong = [&](const Node& table, std::string_view key, std::string text) {
    if (const Node* named = table.find(key)) place.context.error(named->at, std::move(text));
  };
  if (cache.mode == CacheMode::off) {
    for (std::string_view key : {"ttl", "min_ttl", "max_ttl", "negative_ttl", "stale_while_revalidate",
                                 "stale_if_error", "obey_client", "store_set_cookie", "key"}) {
      wrong(options, key, fmt::format("a cache that is off has no {}", key));
    }
  }
  if (cache.max_ttl && *cache.max_ttl < cache.min_ttl) wrong(options, "max_ttl", "max_ttl is below min_ttl");
  const Node* key = options.find("key");
  if (!key) return;
  if (!from_servers) place.context.error(key->at, "key is for origins with servers; others go by the object");
  if (cache.key.query != RouteCacheKey::Query::all) {
    wrong(*key, "ignore_query", "ignore_query goes with query = \"all\" only");
  }
}

void resolve_cache(const Place& place, bool from_servers, RouteCache& cache) {
  const Node* options = place.node.find("cache");
  const bool mode_named = options && (options->is(Node::Kind::string) || options->find("mode"));
  if (!mode_named) cache.mode = from_servers ? CacheMode::explicit_only : CacheMode::on;
  if (options && options->is(Node::Kind::table)) check_cache(place, *options, from_servers, cache);
  if (!from_servers && cache.mode != CacheMode::off && !cache.ttl) cache.ttl = RouteCache::kDefaultTtl;
  if (!cache.negative_ttl && cache.ttl) cache.negative_ttl = RouteCache::kNegativeTtl;
  if (!cache.stale_while_revalidate) {
    cache.stale_while_revalidate = from_servers ? milliseconds(0) : RouteCache::kMediaRevalidate;
  }
}

// Objects of stores are kept under one key for all clients.
void resolve_compress(const Place& place, bool from_servers, Route& route) {
  const Node* options = place.node.find("compress");
  if (!options) {
    route.compress.enabled = from_servers;
  } else if (route.compress.enabled && !from_servers && route.kind == RouteKind::origin) {
    place.context.error(options->at, "compress is for origins with servers");
  }
}

void resolve(const Place& place, Route& route) {
  const Origin* primary = route.origins.empty() ? nullptr : place.config.find_origin(route.origins[0]);
  const bool from_servers =
      route.kind == RouteKind::origin && (!primary || primary->kind == OriginKind::servers);
  resolve_cache(place, from_servers, route.cache);
  resolve_compress(place, from_servers, route);
  if (!place.node.find("strip_prefix")) route.strip_prefix = !from_servers;
  if (!place.node.find("max_body")) route.max_body = place.config.limits.body;
}

bool covers(const Route& earlier, const Route& later) {
  const bool path =
      earlier.prefix ? later.path.starts_with(earlier.path) : !later.prefix && later.path == earlier.path;
  if (!path || earlier.path.empty() || later.path.empty()) return false;
  if (earlier.methods.empty()) return true;
  return !later.methods.empty() && std::ranges::all_of(later.methods, [&](const std::string& method) {
    return std::ranges::find(earlier.methods, method) != earlier.methods.end();
  });
}

void check_reachable(Context& context, const Node& list, const Site& site) {
  for (std::size_t later = 0; later < site.routes.size(); ++later) {
    for (std::size_t earlier = 0; earlier < later; ++earlier) {
      if (!covers(site.routes[earlier], site.routes[later])) continue;
      const Node& node = list.items[later];
      const Position& first = site.routes[earlier].where;
      context.error(
          node.find("path")->at,
          fmt::format("this route is never reached: the one at {}:{} matches first", first.file, first.line));
      break;
    }
  }
}

// The site says what a path's normal form is, and requests are compared in that.
void normalise_path(const Place& place, const Site& site, Route& route) {
  const Node* path = place.node.find("path");
  if (!path || route.path.empty()) return;
  auto normal = http::normalize_path(route.path, site.path_rules());
  if (normal) {
    route.path = std::move(*normal);
  } else {
    place.context.error(path->at, fmt::format("no request of this site has such a path: {}",
                                              http::to_string(normal.error())));
  }
}

void check_site(Context& context, const Node& node, const Config& config, Site& site) {
  const Node* list = node.find("route");
  if (!list || !list->is(Node::Kind::array)) return;
  for (std::size_t i = 0; i < site.routes.size(); ++i) {
    Route& route = site.routes[i];
    if (!list->items[i].is(Node::Kind::table)) continue;
    const Place place{context, config, list->items[i]};
    check_geo(place, route);
    normalise_path(place, site, route);
    check_viewer_keys(place, route);
    const bool one_kind = check_route_kind(place, route);
    resolve(place, route);
    if (!one_kind) continue;
    check_references(place, route);
    check_foreign_keys(place, route);
    check_kind_rules(place, site, route);
    check_websocket(place, route);
  }
  check_reachable(context, *list, site);
}

// From the file and not from the Site, which has no hosts when one of them was wrong.
void check_hosts(Context& context, const Node& node, std::map<std::string, Position>& seen) {
  const Node* hosts = node.find("hosts");
  if (!hosts) return;
  for (const Node& item : hosts->items) {
    const std::optional<std::string> host = read_host(item);
    if (!host) continue;
    const auto [first, fresh] = seen.emplace(*host, item.at);
    if (fresh) continue;
    context.error(item.at, fmt::format("host \"{}\" is already at {}:{}", *host, first->second.file,
                                       first->second.line));
  }
}

}  // namespace

void validate_sites(Context& context, const Node& root, Config& config) {
  std::map<std::string, Position> hosts;
  for (std::size_t i = 0; i < config.sites.size(); ++i) {
    const Node& node = root.find("site")->items[i];
    if (!node.is(Node::Kind::table)) continue;
    check_hosts(context, node, hosts);
    check_site(context, node, config, config.sites[i]);
  }
}

}  // namespace vignette::conf
