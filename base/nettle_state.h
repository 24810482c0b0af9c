// What digest.cc and hmac.cc share: nettle's view of bytes, and its contexts kept in ours.
#pragma once

#include <array>
#include <cstdint>
#include <new>
#include <string_view>

namespace vignette {

inline const std::uint8_t* octets(std::string_view bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

// The Context that was made in `state`.
template <typename Context>
Context* context(std::array<unsigned char, 128>& state) {
  static_assert(sizeof(Context) <= 128 && alignof(Context) <= 16);
  return std::launder(reinterpret_cast<Context*>(state.data()));
}

}  // namespace vignette
