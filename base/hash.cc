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

struct Hasher128::State {
  XXH3_state_t hash;
};

Hasher128::Hasher128() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->hash); }
Hasher128::~Hasher128() = default;
Hasher128::Hasher128(Hasher128&&) noexcept = default;
Hasher128& Hasher128::operator=(Hasher128&&) noexcept = default;

void Hasher128::add(std::string_view bytes) {
  XXH3_128bits_update(&state_->hash, bytes.data(), bytes.size());
}

Hash128 Hasher128::value() const {
  const XXH128_hash_t value = XXH3_128bits_digest(&state_->hash);
  return {value.low64, value.high64};
}

const HashSecret& process_secret() {
  static const HashSecret drawn = [] {
    HashSecret secret;
    VCHECK(::getrandom(&secret, sizeof(secret), 0) == sizeof(secret));
    return secret;
  }();
  return drawn;
}

}  // namespace vignette
