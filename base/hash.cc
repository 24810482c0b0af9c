#include "base/hash.h"

#include <sys/random.h>

#include "base/check.h"

// Compiled in: no call through the linkage table for the short keys that dominate.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace vignette {

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

Hash128 hash128(std::string_view bytes, std::uint64_t seed) {
  XXH128_hash_t value = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {value.low64, value.high64};
}

const HashSecret& process_secret() {
  static const HashSecret kSecret = [] {
    HashSecret secret;
    VCHECK(::getrandom(&secret, sizeof(secret), 0) == sizeof(secret));
    return secret;
  }();
  return kSecret;
}

}  // namespace vignette
