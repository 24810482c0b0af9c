// WebP files without anything but the picture.
#pragma once

#include <cstddef>
#include <span>

namespace vignette::imaging {

// Rewrites a WebP file in place without its EXIF, XMP, ICCP and unknown chunks, for savers that write an EXIF
// block of their own. Keeps VP8X only where a separate alpha chunk needs it. Returns the new size; 0 when the
// file is not a well-formed still WebP.
std::size_t keep_only_picture(std::span<char> webp);

}  // namespace vignette::imaging
