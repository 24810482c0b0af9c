// MD5 (RFC 1321) and SHA-1 (FIPS 180-4): for comparing bytes with what a store says of them, never for
// trust. What signs is in hmac.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vignette {

using Md5Digest = std::array<std::uint8_t, 16>;
using Sha1Digest = std::array<std::uint8_t, 20>;

// Incremental. A copy goes on from the same state.
class Md5 {
 public:
  Md5();
  Md5& update(std::string_view bytes);
  Md5Digest finish();  // of all bytes since construction or the last finish(); starts afresh

 private:
  alignas(16) std::array<unsigned char, 128> state_;
};

class Sha1 {
 public:
  Sha1();
  Sha1& update(std::string_view bytes);
  Sha1Digest finish();

 private:
  alignas(16) std::array<unsigned char, 128> state_;
};

inline std::string_view as_view(const Md5Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}
inline std::string_view as_view(const Sha1Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}
std::string_view as_view(Md5Digest&&) = delete;
std::string_view as_view(Sha1Digest&&) = delete;

}  // namespace vignette
