// What a route lets the cache do.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace vignette::cache {

enum class CacheMode : std::uint8_t {
  off,
  explicit_only,  // stores what the origin or the route gave a lifetime; servers' default
  on,             // also what has a heuristic one, or only a validator
};

struct CachePolicy {
  CacheMode mode = CacheMode::explicit_only;
  // Lifetimes where the origin says nothing; 0: none.
  std::chrono::seconds default_ttl{0};    // 24 h for s3, directory and images
  std::chrono::seconds not_found_ttl{0};  // 404 and 410
  std::chrono::seconds error_ttl{0};      // 500, 502, 503, 504
  // Bounds of what the origin says, or is guessed; no directive that forbids storing or reuse is overruled.
  std::chrono::seconds min_ttl{0};
  std::optional<std::chrono::seconds> max_ttl;
  bool heuristics = true;  // RFC 9111 section 4.2.2, in mode on only
  // Where the response gives no such directive and has a lifetime; never past must-revalidate. The first is
  // 0 for servers: RFC 9111 section 4.2.4 leaves it to them.
  std::chrono::seconds stale_while_revalidate{0};
  std::chrono::seconds stale_if_error{std::chrono::hours(24)};
  bool obey_request = false;  // no-cache, no-store, max-age, min-fresh, max-stale, only-if-cached of requests
  bool store_set_cookie = false;
  bool keep_tag_fields = false;  // send Cache-Tag and the like on to clients
};

// For origins that are stores of photos: s3, directory, images.
inline CachePolicy media_policy() {
  CachePolicy policy;
  policy.mode = CacheMode::on;
  policy.default_ttl = std::chrono::hours(24);
  policy.not_found_ttl = std::chrono::seconds(10);
  policy.error_ttl = std::chrono::seconds(1);
  policy.stale_while_revalidate = std::chrono::seconds(60);
  return policy;
}

}  // namespace vignette::cache
