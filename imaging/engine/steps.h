// The steps of engine_run; internal to the engine. Each returns false when libvips failed (the source is
// broken).
#pragma once

#include <cstdint>
#include <string_view>

#include "imaging/engine/vips_types.h"
#include "imaging/format.h"
#include "imaging/geometry.h"

namespace vignette::imaging {

// Opens lazily, first frame only, failing on truncation. `shrink` (1, 2, 4, 8) is the JPEG decoder's.
Image open_source(std::string_view source, SourceFormat format, int shrink);

// The profile's size, or 0 when there is none or it is not fit for use (then it is removed).
std::uint32_t keep_good_profile(Image& image);

// The colour planes (1 or 3 bands, 8 or 16 bits, sRGB) and the alpha plane (null when opaque) of `image`.
struct Planes {
  Image colour;
  Image alpha;
};
bool to_srgb(Image image, Planes& planes);

// Resizes in linear light to exactly width x height and joins the planes: 8-bit sRGB, alpha last.
bool resize(Planes planes, std::uint32_t width, std::uint32_t height, Image& out);

// EXIF orientation 1..8; copies the picture to memory when it has to move pixels.
bool turn_upright(Image& image, int orientation);

// Cuts or pads around the centre to the output box.
bool fit_box(Image& image, const Geometry& geometry, OutputFormat output);

// quality 0 = auto. Removes all metadata first.
bool encode(Image& image, OutputFormat output, int quality, Encoded& out);

}  // namespace vignette::imaging
