// XXH3: fast, not for secrets. Values are the same on every run and machine, so they may be stored.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vignette {

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend auto operator<=>(const Hash128&, const Hash128&) = default;
};

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 0);
Hash128 hash128(std::string_view bytes, std::uint64_t seed = 0);

// For unordered containers keyed by std::string that are looked up by string_view (with std::equal_to<>).
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return hash64(text); }
};

// For unordered containers keyed by Hash128: the value is already uniform.
struct Hash128Hash {
  std::size_t operator()(const Hash128& value) const { return value.low; }
};

}  // namespace vignette
