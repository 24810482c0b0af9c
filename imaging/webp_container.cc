#include "imaging/webp_container.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace vignette::imaging {
namespace {

constexpr std::size_t kRiffHeader = 12;
constexpr std::size_t kChunkHeader = 8;
constexpr std::uint8_t kAlphaFlag = 0x10;

std::uint32_t read_le32(const char* at) {
  std::array<std::uint8_t, 4> b{};
  std::memcpy(b.data(), at, 4);
  return b[0] | std::uint32_t{b[1]} << 8 | std::uint32_t{b[2]} << 16 | std::uint32_t{b[3]} << 24;
}

void write_le32(char* at, std::size_t value) {
  for (int i = 0; i < 4; ++i) at[i] = static_cast<char>(static_cast<std::uint8_t>(value >> (8 * i)));
}

}  // namespace

std::size_t keep_only_picture(std::span<char> webp) {
  const std::string_view file(webp.data(), webp.size());
  if (file.size() < kRiffHeader || !file.starts_with("RIFF") || file.substr(8, 4) != "WEBP") return 0;
  const bool separate_alpha = file.substr(kRiffHeader, 4) == "VP8X" &&
                              file.size() > kRiffHeader + kChunkHeader &&
                              (static_cast<std::uint8_t>(file[kRiffHeader + kChunkHeader]) & kAlphaFlag) != 0;
  std::size_t from = kRiffHeader;
  std::size_t to = kRiffHeader;
  bool picture = false;
  while (file.size() - from >= kChunkHeader) {
    const std::string_view type = file.substr(from, 4);
    const std::size_t length = read_le32(file.data() + from + 4);
    const std::size_t size = kChunkHeader + length + (length & 1);
    if (size > file.size() - from) return 0;
    const bool extended = type == "VP8X";
    const bool pixels = type == "VP8 " || type == "VP8L";
    if (pixels || (separate_alpha && (extended || type == "ALPH"))) {
      if (extended) webp[from + kChunkHeader] = static_cast<char>(kAlphaFlag);
      std::memmove(webp.data() + to, webp.data() + from, size);
      to += size;
      picture = picture || pixels;
    }
    from += size;
  }
  if (!picture) return 0;
  write_le32(webp.data() + 4, to - 8);
  return to;
}

}  // namespace vignette::imaging
