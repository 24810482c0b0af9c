// What a route lets the cache do.
#pragma once

#include <chrono>
#include <cstdint>

namespace vignette::cache {

enum class CacheMode : std::uint8_t {
  off,
  explicit_only,  // stores what the origin gave a lifetime; servers' default
  on,             // also heuristic and default lifetimes
};

struct CachePolicy {
  CacheMode mode = CacheMode::explicit_only;
  // Lifetime where the origin says nothing; 24 h for s3, directory and images, 0 (none) for servers. It
  // also turns on the two negative lifetimes.
  std::chrono::seconds default_ttl{0};
  std::chrono::seconds not_found_ttl{10};  // 404 and 410
  std::chrono::seconds error_ttl{1};       // 500, 502, 503, 504
  bool heuristics = true;                  // RFC 9111 section 4.2.2, in mode on only
  // Where the response gives no such directive and has a lifetime; never past must-revalidate.
  std::chrono::seconds stale_while_revalidate{60};
  std::chrono::seconds stale_if_error{std::chrono::hours(24)};
  bool obey_request = false;  // no-cache, no-store, max-age, min-fresh, max-stale of requests
  bool store_set_cookie = false;
};

// For origins that are stores of photos: s3, directory, images.
inline CachePolicy media_policy() {
  CachePolicy policy;
  policy.mode = CacheMode::on;
  policy.default_ttl = std::chrono::hours(24);
  return policy;
}

}  // namespace vignette::cache
