// `cache` of a route: what it stores, for how long, and what of a request tells objects apart.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vignette::conf {

enum class CacheMode : std::uint8_t {
  off,
  explicit_only,  // what the origin or the route gives a lifetime
  on,             // also what has a heuristic lifetime or only a validator
};

// Beside scheme, host, port and path. Routes to servers only.
struct RouteCacheKey {
  enum class Query : std::uint8_t { all, none, listed };
  Query query = Query::all;
  std::vector<std::string> query_names;   // listed: what is kept; a final * stands for any end
  std::vector<std::string> ignore_query;  // with Query::all: what is taken away; the same
  std::vector<std::string> headers;       // request fields: lower case, sorted, once each
  std::vector<std::string> cookies;       // sorted, once each
};

// Resolved by the loader: routes to s3 and directory origins and images routes are `on` with kDefaultTtl and
// kMediaRevalidate, routes to servers `explicit_only` without either, unless the file says otherwise.
struct RouteCache {
  CacheMode mode = CacheMode::explicit_only;
  std::optional<std::chrono::milliseconds> ttl;  // lifetime when the origin gives none
  std::chrono::milliseconds min_ttl{0};
  std::optional<std::chrono::milliseconds> max_ttl;
  std::optional<std::chrono::milliseconds> negative_ttl;  // of 404 and 410; kNegativeTtl where there is a ttl
  std::optional<std::chrono::milliseconds> stale_while_revalidate;
  std::chrono::milliseconds stale_if_error{86'400'000};
  bool obey_client = false;
  bool store_set_cookie = false;
  bool send_tags = false;
  RouteCacheKey key;
  static constexpr std::chrono::milliseconds kDefaultTtl{86'400'000};
  static constexpr std::chrono::milliseconds kNegativeTtl{10'000};
  static constexpr std::chrono::milliseconds kMediaRevalidate{60'000};
};

}  // namespace vignette::conf
