// CRC32C (Castagnoli; RFC 3720 appendix B.4): finds damage on disk, not forgery.
#pragma once

#include <cstdint>
#include <string_view>

namespace vignette {

// crc32c(b, crc32c(a)) == crc32c(ab). Uses the processor's instruction where there is one.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t before = 0);
// The same by table alone.
std::uint32_t crc32c_portable(std::string_view bytes, std::uint32_t before = 0);

}  // namespace vignette
