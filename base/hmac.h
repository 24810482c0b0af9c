// SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104) for signatures of URLs and of S3 requests.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vignette {

using Sha256Digest = std::array<std::uint8_t, 32>;

// Incremental. A copy goes on from the same state.
class Sha256 {
 public:
  Sha256();
  Sha256& update(std::string_view bytes);
  // The digest of all bytes since construction or the last finish(); starts afresh.
  Sha256Digest finish();

 private:
  alignas(16) std::array<unsigned char, 128> state_;
};

Sha256Digest sha256(std::string_view bytes);
Sha256Digest hmac_sha256(std::string_view key, std::string_view data);

// The 32 raw bytes, as long as `digest` lives: the key of the next HMAC, or input to base64url.
inline std::string_view as_view(const Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}
std::string_view as_view(Sha256Digest&&) = delete;
// 64 lower case digits.
std::string to_hex(const Sha256Digest& digest);

}  // namespace vignette
