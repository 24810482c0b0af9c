// One header scanner a format; internal to header.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "imaging/header.h"

namespace vignette::imaging {

// Reads at offsets with bounds: past the end reads as 0, and has() tells. Never out of range.
class ByteView {
 public:
  explicit ByteView(std::string_view bytes) : bytes_(bytes) {}
  std::size_t size() const { return bytes_.size(); }
  bool has(std::size_t at, std::size_t count) const {
    return at <= bytes_.size() && count <= bytes_.size() - at;
  }
  std::uint8_t u8(std::size_t at) const {
    return at < bytes_.size() ? static_cast<std::uint8_t>(bytes_[at]) : 0;
  }
  std::uint32_t be(std::size_t at, std::size_t count) const {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < count; ++i) value = value << 8 | u8(at + i);
    return value;
  }
  std::uint32_t le(std::size_t at, std::size_t count) const {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < count; ++i) value |= std::uint32_t{u8(at + i)} << (8 * i);
    return value;
  }
  std::string_view text(std::size_t at, std::size_t count) const {
    return has(at, count) ? bytes_.substr(at, count) : std::string_view();
  }

 private:
  std::string_view bytes_;
};

inline HeaderScan scan_broken() { return {HeaderScan::State::failed, ErrorClass::broken, 0, {}}; }
inline HeaderScan scan_needs(std::size_t bytes, const ImageHeader& so_far) {
  return {HeaderScan::State::need_more, ErrorClass::none, bytes, so_far};
}
inline HeaderScan scan_done(const ImageHeader& header) {
  return {HeaderScan::State::done, ErrorClass::none, 0, header};
}

// Each takes a prefix that sniffs as its format. `header.format` is already set.
HeaderScan scan_jpeg(ByteView bytes, ImageHeader header);
HeaderScan scan_png(ByteView bytes, ImageHeader header);
HeaderScan scan_gif(ByteView bytes, ImageHeader header);
HeaderScan scan_webp(ByteView bytes, ImageHeader header);
HeaderScan scan_heif(ByteView bytes, ImageHeader header);

// Orientation of a TIFF structure (the payload of an Exif block): 1..8, 1 when absent or senseless.
std::uint8_t exif_orientation(std::string_view tiff);

}  // namespace vignette::imaging
