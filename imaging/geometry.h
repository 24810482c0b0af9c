// From a picture's shown size and a Transform to what must be done: the arithmetic the node (estimates) and
// the engine (pixels) share.
#pragma once

#include <cstdint>

#include "imaging/grammar.h"

namespace vignette::imaging {

struct Geometry {
  std::uint32_t scaled_width = 0;  // the picture is resized to this
  std::uint32_t scaled_height = 0;
  std::uint32_t output_width = 0;  // then centred in this: smaller = cut, larger = padded
  std::uint32_t output_height = 0;
  bool operator==(const Geometry&) const = default;
};

// All sides are at least 1. `shown_*` are after orientation and at least 1.
Geometry plan(const Transform& transform, std::uint32_t shown_width, std::uint32_t shown_height);

}  // namespace vignette::imaging
