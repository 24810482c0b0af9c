#include "imaging/header.h"

#include <algorithm>

#include "imaging/header_scanners.h"

namespace vignette::imaging {
namespace {

HeaderScan scan_as(SourceFormat format, std::string_view prefix) {
  ImageHeader header;
  header.format = format;
  const ByteView bytes(prefix);
  switch (format) {
    case SourceFormat::jpeg:
      return scan_jpeg(bytes, header);
    case SourceFormat::png:
      return scan_png(bytes, header);
    case SourceFormat::gif:
      return scan_gif(bytes, header);
    case SourceFormat::webp:
      return scan_webp(bytes, header);
    case SourceFormat::avif:
    case SourceFormat::heic:
      return scan_heif(bytes, header);
    case SourceFormat::unsupported:
      break;
  }
  return {HeaderScan::State::failed, ErrorClass::unsupported, 0, {}};
}

bool is_heif(SourceFormat format) { return format == SourceFormat::avif || format == SourceFormat::heic; }

}  // namespace

bool ImageHeader::heavy() const {
  constexpr std::uint64_t kHeavyPixels = 24'000'000;
  return progressive || animated || is_heif(format) || std::uint64_t{width} * height > kHeavyPixels;
}

HeaderScan scan_header(std::string_view prefix, bool complete) {
  if (prefix.empty() && complete) return scan_broken();
  const std::optional<SourceFormat> format = sniff(prefix, complete);
  if (!format) return scan_needs(kSniffBytes, {});
  HeaderScan scan = scan_as(*format, prefix);
  if (scan.state != HeaderScan::State::need_more) return scan;
  scan.need = std::max(scan.need, prefix.size() + 1);
  if (!complete && scan.need <= kMaxHeaderBytes) return scan;
  // What is left to read is only detail (orientation, transparency) once the sides are known.
  return scan.header.width > 0 ? scan_done(scan.header) : scan_broken();
}

ErrorClass check_limits(const ImageHeader& header, std::uint64_t source_bytes, const Limits& limits) {
  const bool fits = source_bytes <= limits.max_source_bytes && header.width <= limits.max_side &&
                    header.height <= limits.max_side &&
                    std::uint64_t{header.width} * header.height <= limits.max_pixels;
  return fits ? ErrorClass::none : ErrorClass::too_large;
}

std::uint64_t estimate_bytes(const ImageHeader& header, std::uint32_t output_width,
                             std::uint32_t output_height) {
  const std::uint64_t out = std::uint64_t{output_width} * output_height * 8;
  const std::uint64_t pixels = std::uint64_t{header.width} * header.height;
  const bool whole_picture =
      header.progressive || header.format == SourceFormat::gif || header.format == SourceFormat::webp;
  if (is_heif(header.format)) return pixels * 8 + out;
  if (!whole_picture) return std::uint64_t{header.width} * 192 + out * 4;
  if (header.format == SourceFormat::jpeg) return pixels * (header.subsampled ? 3 : 6) + out;
  return pixels * (header.bit_depth > 8 ? 8 : 4) + out;
}

}  // namespace vignette::imaging
