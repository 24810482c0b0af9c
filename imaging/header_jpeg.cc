// JPEG (ITU T.81): a walk over marker segments up to the frame header.
#include <algorithm>

#include "imaging/header_scanners.h"

namespace vignette::imaging {
namespace {

constexpr std::uint8_t kStartOfScan = 0xda;
constexpr std::uint8_t kEndOfImage = 0xd9;
constexpr std::uint8_t kApp1 = 0xe1;

bool is_frame_header(std::uint8_t marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}
bool has_no_length(std::uint8_t marker) { return marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8); }

HeaderScan read_frame(ByteView bytes, std::size_t at, std::size_t length, std::uint8_t marker,
                      ImageHeader header) {
  const std::size_t components = bytes.u8(at + 7);
  if (length < 8 + 3 * components || components == 0 || components > 4) return scan_broken();
  header.bit_depth = bytes.u8(at + 2);
  header.height = bytes.be(at + 3, 2);
  header.width = bytes.be(at + 5, 2);
  header.components = static_cast<std::uint8_t>(components);
  header.progressive = (marker & 3) == 2;
  if (header.width == 0 || header.height == 0) return scan_broken();
  std::uint8_t smallest = 255;
  std::uint8_t largest = 0;
  for (std::size_t i = 0; i < components; ++i) {
    const std::uint8_t sampling = bytes.u8(at + 9 + 3 * i);
    const auto area = static_cast<std::uint8_t>((sampling >> 4) * (sampling & 15));
    smallest = std::min(smallest, area);
    largest = std::max(largest, area);
  }
  header.subsampled = components >= 3 && smallest * 2 <= largest;
  return scan_done(header);
}

}  // namespace

HeaderScan scan_jpeg(ByteView bytes, ImageHeader header) {
  std::size_t at = 2;
  while (true) {
    while (at < bytes.size() && bytes.u8(at) != 0xff)
      ++at;  // decoders skip garbage between segments, so do we
    while (at < bytes.size() && bytes.u8(at) == 0xff) ++at;  // fill bytes
    if (!bytes.has(at, 3)) return scan_needs(at + 3, header);
    const std::uint8_t marker = bytes.u8(at++);
    if (marker == 0 || has_no_length(marker)) continue;
    if (marker == kStartOfScan || marker == kEndOfImage) return scan_broken();
    const std::size_t length = bytes.be(at, 2);
    if (length < 2) return scan_broken();
    if (is_frame_header(marker)) {
      if (!bytes.has(at, length)) return scan_needs(at + length, header);
      return read_frame(bytes, at, length, marker, header);
    }
    if (marker == kApp1) {
      if (!bytes.has(at, length)) return scan_needs(at + length, header);
      const std::string_view body = bytes.text(at + 2, length - 2);
      if (body.starts_with(std::string_view("Exif\0\0", 6)))
        header.orientation = exif_orientation(body.substr(6));
    }
    at += length;
  }
}

std::uint8_t exif_orientation(std::string_view tiff) {
  constexpr std::uint32_t kOrientationTag = 0x112;
  constexpr std::uint32_t kShort = 3;
  const ByteView bytes(tiff);
  const bool little = tiff.starts_with("II");
  if (!little && !tiff.starts_with("MM")) return 1;
  const auto read = [&](std::size_t at, std::size_t count) {
    return little ? bytes.le(at, count) : bytes.be(at, count);
  };
  const std::size_t directory = read(4, 4);
  if (!bytes.has(directory, 2)) return 1;
  const std::size_t entries = read(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + 12 * i;
    if (!bytes.has(entry, 12)) return 1;
    if (read(entry, 2) != kOrientationTag || read(entry + 2, 2) != kShort) continue;
    const std::uint32_t value = read(entry + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<std::uint8_t>(value) : std::uint8_t{1};
  }
  return 1;
}

}  // namespace vignette::imaging
