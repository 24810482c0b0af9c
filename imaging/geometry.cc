#include "imaging/geometry.h"

#include <algorithm>

namespace vignette::imaging {
namespace {

// A fraction keeps the limiting side exact where a double would round it off by one.
struct Ratio {
  std::uint64_t numerator;
  std::uint64_t denominator;
  bool operator<(const Ratio& other) const {
    return numerator * other.denominator < other.numerator * denominator;
  }
};

std::uint32_t scale(std::uint32_t side, Ratio ratio) {
  const std::uint64_t value = (side * ratio.numerator + ratio.denominator / 2) / ratio.denominator;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(value, 1, UINT32_MAX));
}

Geometry same_box(std::uint32_t width, std::uint32_t height) { return {width, height, width, height}; }

constexpr Ratio kOne{1, 1};

Geometry plan_cover(std::uint32_t box_w, std::uint32_t box_h, bool enlarge, std::uint32_t w,
                    std::uint32_t h) {
  if (!enlarge) {  // the largest box of that shape the source can fill
    const Ratio shrink = std::min({kOne, Ratio{w, box_w}, Ratio{h, box_h}});
    box_w = scale(box_w, shrink);
    box_h = scale(box_h, shrink);
  }
  const Ratio ratio = std::max(Ratio{box_w, w}, Ratio{box_h, h});
  return {std::max(box_w, scale(w, ratio)), std::max(box_h, scale(h, ratio)), box_w, box_h};
}

}  // namespace

Geometry plan(const Transform& transform, std::uint32_t w, std::uint32_t h) {
  const std::uint32_t box_w = transform.width;
  const std::uint32_t box_h = transform.height;
  if (box_w == 0 && box_h == 0) return same_box(w, h);
  const bool enlarge = transform.enlarge && transform.fit != Fit::scale_down;
  const bool boxed = box_w != 0 && box_h != 0;
  if (boxed && transform.fit == Fit::cover) return plan_cover(box_w, box_h, enlarge, w, h);
  if (boxed && transform.fit == Fit::fill) {
    return enlarge ? same_box(box_w, box_h) : same_box(std::min(box_w, w), std::min(box_h, h));
  }
  Ratio ratio = box_w == 0 ? Ratio{box_h, h} : Ratio{box_w, w};
  if (boxed) ratio = std::min(ratio, Ratio{box_h, h});
  if (!enlarge) ratio = std::min(ratio, kOne);
  Geometry geometry = same_box(scale(w, ratio), scale(h, ratio));
  if (boxed && transform.fit == Fit::contain) {
    geometry.output_width = box_w;
    geometry.output_height = box_h;
  }
  return geometry;
}

}  // namespace vignette::imaging
