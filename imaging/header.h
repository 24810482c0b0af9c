// Reads what a picture claims to be from its first bytes, without decoding: enough to refuse bombs before the
// whole body has arrived and to admit the rest by estimated memory. Claims are claims: the worker checks
// again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "imaging/errors.h"
#include "imaging/format.h"

namespace vignette::imaging {

struct ImageHeader {
  SourceFormat format = SourceFormat::unsupported;
  std::uint32_t width = 0;  // pixels as stored, before orientation; HEIF: of the primary item
  std::uint32_t height = 0;
  std::uint8_t orientation = 1;  // 1..8 as far as the prefix tells
  std::uint8_t components = 3;   // channels without alpha: 1, 3, or 4 (CMYK)
  std::uint8_t bit_depth = 8;
  bool alpha = false;
  bool progressive = false;  // progressive JPEG, interlaced PNG or GIF
  bool subsampled = false;   // JPEG with 4:2:0 or less chroma
  bool animated = false;     // the header says so

  std::uint32_t shown_width() const { return orientation >= 5 ? height : width; }
  std::uint32_t shown_height() const { return orientation >= 5 ? width : height; }
  // Progressive or interlaced, HEIF, animation or > 24 MP: belongs in the heavy lane.
  bool heavy() const;
};

struct HeaderScan {
  enum class State : std::uint8_t { done, need_more, failed };
  State state = State::need_more;
  ErrorClass error = ErrorClass::none;  // of failed: unsupported or broken
  std::size_t need = 0;                 // of need_more: try again with at least this many bytes
  ImageHeader header;  // of done; of need_more as far as known (sides 0 = not yet): check_limits at once
};

// Prefixes longer than this are not waited for: an answer of need_more beyond it is `broken`.
inline constexpr std::size_t kMaxHeaderBytes = std::size_t{4} << 20;

// Stateless: call again with a longer prefix while it says need_more. `complete`: no more bytes will come
// (need_more then becomes broken). Costs a walk over segment headers, never over their contents.
HeaderScan scan_header(std::string_view prefix, bool complete);

struct Limits {
  std::uint64_t max_pixels = 100'000'000;  // width x height of one frame
  std::uint32_t max_side = 16'384;         // pixels, stored
  std::uint32_t max_frames = 200;
  std::uint64_t max_source_bytes = std::uint64_t{64} << 20;
  bool operator==(const Limits&) const = default;
};

// none or too_large. `source_bytes`: what is known (Content-Length or received so far).
ErrorClass check_limits(const ImageHeader& header, std::uint64_t source_bytes, const Limits& limits);

// Memory a job will need at its peak, for admission against one budget: baseline JPEG w·192 + out·4;
// progressive JPEG w·h·3 (4:2:0) or ·6; interlaced PNG, GIF, WebP w·h·4; HEIF w·h·8; each plus out = ow·oh·8.
std::uint64_t estimate_bytes(const ImageHeader& header, std::uint32_t output_width,
                             std::uint32_t output_height);

}  // namespace vignette::imaging
