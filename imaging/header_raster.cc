// PNG (ISO 15948), GIF89a and WebP (RFC 9649): walks over chunks and blocks.
#include <algorithm>

#include "imaging/header_scanners.h"

namespace vignette::imaging {
namespace {

bool legal_png_depth(std::uint8_t colour, std::uint8_t depth) {
  switch (colour) {
    case 0:
      return depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
    case 3:
      return depth == 1 || depth == 2 || depth == 4 || depth == 8;
    case 2:
    case 4:
    case 6:
      return depth == 8 || depth == 16;
    default:
      return false;
  }
}

// Past a chain of GIF sub-blocks; size()+1 when it does not end within the bytes.
std::size_t skip_sub_blocks(ByteView bytes, std::size_t at) {
  while (at < bytes.size()) {
    const std::uint8_t length = bytes.u8(at);
    at += std::size_t{1} + length;
    if (length == 0) return at;
  }
  return bytes.size() + 1;
}

std::size_t gif_table_bytes(std::uint8_t flags) {
  return (flags & 0x80) != 0 ? std::size_t{3} << ((flags & 7) + 1) : 0;
}

constexpr std::uint8_t kGifExtension = 0x21;
constexpr std::uint8_t kGifImage = 0x2c;

HeaderScan finish(ImageHeader header) {
  return header.width == 0 || header.height == 0 ? scan_broken() : scan_done(header);
}

}  // namespace

HeaderScan scan_png(ByteView bytes, ImageHeader header) {
  if (!bytes.has(8, 25)) return scan_needs(33, header);
  if (bytes.be(8, 4) != 13 || bytes.text(12, 4) != "IHDR") return scan_broken();
  header.width = bytes.be(16, 4);
  header.height = bytes.be(20, 4);
  header.bit_depth = bytes.u8(24);
  const std::uint8_t colour = bytes.u8(25);
  constexpr std::uint32_t kLargest = 0x7fffffff;
  if (header.width == 0 || header.height == 0 || header.width > kLargest || header.height > kLargest ||
      !legal_png_depth(colour, header.bit_depth) || bytes.u8(28) > 1) {
    return scan_broken();
  }
  header.components = colour == 0 || colour == 4 ? 1 : 3;
  header.alpha = (colour & 4) != 0;
  header.progressive = bytes.u8(28) == 1;
  std::size_t at = 33;
  while (true) {
    if (!bytes.has(at, 8)) return scan_needs(at + 8, header);
    const std::size_t length = bytes.be(at, 4);
    const std::string_view type = bytes.text(at + 4, 4);
    if (type == "IDAT") return scan_done(header);
    if (length > kLargest || type == "IEND") return scan_broken();
    if (type == "tRNS") header.alpha = true;
    if (type == "acTL") header.animated = true;
    if (type == "eXIf") {
      if (!bytes.has(at + 8, length)) return scan_needs(at + 8 + length, header);
      header.orientation = exif_orientation(bytes.text(at + 8, length));
    }
    at += 12 + length;
  }
}

HeaderScan scan_gif(ByteView bytes, ImageHeader header) {
  if (!bytes.has(0, 13)) return scan_needs(13, header);
  header.width = bytes.le(6, 2);
  header.height = bytes.le(8, 2);
  if (header.width == 0 || header.height == 0) return scan_broken();
  std::size_t at = 13 + gif_table_bytes(bytes.u8(10));
  while (true) {
    if (!bytes.has(at, 1)) return scan_needs(at + 1, header);
    const std::uint8_t kind = bytes.u8(at);
    if (kind == kGifImage) break;
    if (kind != kGifExtension) return scan_broken();  // no picture before the trailer
    if (!bytes.has(at, 4)) return scan_needs(at + 4, header);
    if (bytes.u8(at + 1) == 0xf9) header.alpha = (bytes.u8(at + 3) & 1) != 0;
    const std::size_t next = skip_sub_blocks(bytes, at + 2);
    if (next > bytes.size()) return scan_needs(next + 256, header);
    at = next;
  }
  if (!bytes.has(at, 10)) return scan_needs(at + 10, header);
  // A frame may reach beyond the screen; a decoder pays for the larger of the two.
  header.width = std::max(header.width, bytes.le(at + 1, 2) + bytes.le(at + 5, 2));
  header.height = std::max(header.height, bytes.le(at + 3, 2) + bytes.le(at + 7, 2));
  header.progressive = (bytes.u8(at + 9) & 0x40) != 0;
  return scan_done(header);
}

HeaderScan scan_webp(ByteView bytes, ImageHeader header) {
  const std::string_view kind = bytes.text(12, 4);
  const std::size_t needed = kind == "VP8L" ? 25 : 30;
  if (!bytes.has(0, needed)) return scan_needs(needed, header);
  if (kind == "VP8 ") {
    if ((bytes.u8(20) & 1) != 0 || bytes.be(23, 3) != 0x9d012a) return scan_broken();  // not a key frame
    header.width = bytes.le(26, 2) & 0x3fff;
    header.height = bytes.le(28, 2) & 0x3fff;
    return finish(header);
  }
  if (kind == "VP8L") {
    if (bytes.u8(20) != 0x2f) return scan_broken();
    const std::uint32_t bits = bytes.le(21, 4);
    header.width = (bits & 0x3fff) + 1;
    header.height = (bits >> 14 & 0x3fff) + 1;
    header.alpha = (bits >> 28 & 1) != 0;
    return scan_done(header);
  }
  if (kind != "VP8X") return scan_broken();
  const std::uint8_t flags = bytes.u8(20);
  header.alpha = (flags & 0x10) != 0;
  header.animated = (flags & 0x02) != 0;
  header.width = bytes.le(24, 3) + 1;
  header.height = bytes.le(27, 3) + 1;
  return scan_done(header);
}

}  // namespace vignette::imaging
