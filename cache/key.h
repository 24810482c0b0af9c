// The cache key: a canonical string and its 128-bit hash. The hash finds, the string decides: it is kept
// in every object and compared on lookup, so a clash of hashes is a miss and never a wrong photo.
//
// Canonical form: HOST PATH [?QUERY] [LF VARIANT]
//   host     lower case, without trailing dot and without port 80 or 443 (a scheme that matters is a variant)
//   path     percent triplets in upper case, unreserved characters decoded, except the dot: whether an
//            encoded dot makes a dot segment is for the origin to say, so it stays distinct
//   query    as the route chose it (sorted, filtered); absent and empty are different
//   variant  a discriminator of the route (transform, encoding) and the values that Vary selects
// Bytes that a valid target cannot hold are percent-encoded, so no input forges another one's key.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"

namespace vignette::cache {

struct Key {
  std::uint64_t hi = 0;
  std::uint64_t lo = 0;
  friend auto operator<=>(const Key&, const Key&) = default;
};

// For tables by key: clients choose keys, but not what falls into one bucket.
struct KeyHash {
  HashSecret secret = process_secret();
  std::size_t operator()(const Key& key) const { return spread(key.hi, key.lo, secret); }
};

struct KeyParts {
  std::string_view host = {};  // Host or :authority, with or without port
  std::string_view path = {};  // begins with '/'
  std::optional<std::string_view> query = std::nullopt;
  std::string_view variant = {};
};

// Overwrites `key_string` with the canonical form (a caller that keeps the string does not allocate) and
// returns its hash.
Key build_key(const KeyParts& parts, std::string& key_string);

// Appends a further discriminator (see vary.h) to a canonical string and returns the new hash.
Key extend_key(std::string_view variant, std::string& key_string);

// XXH3-128 of a canonical key string.
Key hash_key(std::string_view key_string);

}  // namespace vignette::cache
