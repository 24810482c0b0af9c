// Resizing in linear light by table: sRGB (8 or 16 bits) -> 16-bit linear -> Lanczos3 -> 8-bit sRGB.
#include <cmath>
#include <cstdint>
#include <vector>

#include "imaging/engine/steps.h"

namespace vignette::imaging {
namespace {

constexpr int kFull16 = 65535;

double to_linear(double v) { return v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4); }
double to_encoded(double v) { return v <= 0.0031308 ? v * 12.92 : 1.055 * std::pow(v, 1 / 2.4) - 0.055; }

template <typename Value, typename Function>
Image make_table(int entries, VipsBandFormat format, double full, Function&& function) {
  std::vector<Value> values(static_cast<std::size_t>(entries));
  for (int i = 0; i < entries; ++i) {
    values[static_cast<std::size_t>(i)] =
        static_cast<Value>(std::lround(full * function(double(i) / (entries - 1))));
  }
  return Image(
      vips_image_new_from_memory_copy(values.data(), values.size() * sizeof(Value), entries, 1, 1, format));
}

// Built once a process, on first use: the worker's warm-up.
VipsImage* linear_table(VipsBandFormat source) {
  static const Image from8 = make_table<std::uint16_t>(256, VIPS_FORMAT_USHORT, kFull16, to_linear);
  static const Image from16 = make_table<std::uint16_t>(65536, VIPS_FORMAT_USHORT, kFull16, to_linear);
  return source == VIPS_FORMAT_UCHAR ? from8.get() : from16.get();
}
VipsImage* encoded_table() {
  static const Image table = make_table<std::uint8_t>(65536, VIPS_FORMAT_UCHAR, 255, to_encoded);
  return table.get();
}

bool map(Image& image, VipsImage* table) {
  return replace(image,
                 [table](VipsImage* in, VipsImage** out) { return vips_maplut(in, out, table, nullptr); });
}

bool cast(Image& image, VipsBandFormat format, bool shift) {
  if (image->BandFmt == format) return true;
  return replace(image, [=](VipsImage* in, VipsImage** out) {
    return vips_cast(in, out, format, "shift", shift ? TRUE : FALSE, nullptr);
  });
}

bool join(Image& colour, const Image& alpha) {
  return replace(
      colour, [&](VipsImage* in, VipsImage** out) { return vips_bandjoin2(in, alpha.get(), out, nullptr); });
}

bool band(Image& image, int first, int count) {
  return replace(image, [=](VipsImage* in, VipsImage** out) {
    return vips_extract_band(in, out, first, "n", count, nullptr);
  });
}

// 0..255 times 257 spreads to 0..65535 exactly.
bool widen(Image& alpha) {
  if (alpha->BandFmt == VIPS_FORMAT_USHORT) return true;
  return replace(alpha,
                 [](VipsImage* in, VipsImage** out) { return vips_linear1(in, out, 257, 0, nullptr); }) &&
         cast(alpha, VIPS_FORMAT_USHORT, false);
}

bool narrow(Image& alpha) {
  return replace(alpha, [](VipsImage* in,
                           VipsImage** out) { return vips_linear1(in, out, 1.0 / 257, 0.5, nullptr); }) &&
         cast(alpha, VIPS_FORMAT_UCHAR, false);
}

bool scale(Image& image, std::uint32_t width, std::uint32_t height) {
  const double x = double(width) / image->Xsize;
  const double y = double(height) / image->Ysize;
  return replace(image, [=](VipsImage* in, VipsImage** out) {
    return vips_resize(in, out, x, "vscale", y, "kernel", VIPS_KERNEL_LANCZOS3, nullptr);
  });
}

bool retag(Image& image) {
  const bool grey = image->Bands < 3;
  return replace(image, [grey](VipsImage* in, VipsImage** out) {
    return vips_copy(in, out, "interpretation", grey ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB,
                     nullptr);
  });
}

bool resize_opaque(Image& colour, std::uint32_t width, std::uint32_t height) {
  return map(colour, linear_table(colour->BandFmt)) && scale(colour, width, height) &&
         cast(colour, VIPS_FORMAT_USHORT, false) && map(colour, encoded_table());
}

// Weighted by alpha, so that the colour hidden in transparent pixels does not bleed.
bool resize_alpha(Planes& planes, std::uint32_t width, std::uint32_t height) {
  Image& image = planes.colour;
  const int bands = image->Bands;
  const double full = kFull16;
  const bool scaled = map(image, linear_table(image->BandFmt)) && widen(planes.alpha) &&
                      join(image, planes.alpha) &&
                      replace(image,
                              [=](VipsImage* in, VipsImage** out) {
                                return vips_premultiply(in, out, "max_alpha", full, nullptr);
                              }) &&
                      scale(image, width, height) &&
                      replace(image,
                              [=](VipsImage* in, VipsImage** out) {
                                return vips_unpremultiply(in, out, "max_alpha", full, nullptr);
                              }) &&
                      cast(image, VIPS_FORMAT_USHORT, false);
  // Both planes read the same scaled rows: without a copy they would be computed twice, out of order.
  if (!scaled || !replace(image, [](VipsImage* in, VipsImage** out) {
        *out = vips_image_copy_memory(in);
        return *out == nullptr ? -1 : 0;
      })) {
    return false;
  }
  Image alpha(image.get());
  g_object_ref(image.get());
  return band(alpha, bands, 1) && narrow(alpha) && band(image, 0, bands) && map(image, encoded_table()) &&
         join(image, alpha);
}

bool to_8_bits(Planes& planes) {
  if (!cast(planes.colour, VIPS_FORMAT_UCHAR, true)) return false;
  return !planes.alpha || (cast(planes.alpha, VIPS_FORMAT_UCHAR, true) && join(planes.colour, planes.alpha));
}

}  // namespace

bool resize(Planes planes, std::uint32_t width, std::uint32_t height, Image& out) {
  const bool same = static_cast<std::uint32_t>(planes.colour->Xsize) == width &&
                    static_cast<std::uint32_t>(planes.colour->Ysize) == height;
  const bool done = same           ? to_8_bits(planes)
                    : planes.alpha ? resize_alpha(planes, width, height)
                                   : resize_opaque(planes.colour, width, height);
  if (!done || !retag(planes.colour)) return false;
  out = std::move(planes.colour);
  return true;
}

bool turn_upright(Image& image, int orientation) {
  if (orientation <= 1) return true;
  const auto in_memory = [](VipsImage* in, VipsImage** out) {
    *out = vips_image_copy_memory(in);
    return *out == nullptr ? -1 : 0;
  };
  if (!replace(image, in_memory)) return false;
  const auto rotate = [&](VipsAngle angle) {
    return replace(image,
                   [angle](VipsImage* in, VipsImage** out) { return vips_rot(in, out, angle, nullptr); });
  };
  const auto flip = [&](VipsDirection direction) {
    return replace(image,
                   [=](VipsImage* in, VipsImage** out) { return vips_flip(in, out, direction, nullptr); });
  };
  switch (orientation) {
    case 2:
      return flip(VIPS_DIRECTION_HORIZONTAL);
    case 3:
      return rotate(VIPS_ANGLE_D180);
    case 4:
      return flip(VIPS_DIRECTION_VERTICAL);
    case 5:
      return rotate(VIPS_ANGLE_D90) && flip(VIPS_DIRECTION_HORIZONTAL);
    case 6:
      return rotate(VIPS_ANGLE_D90);
    case 7:
      return rotate(VIPS_ANGLE_D90) && flip(VIPS_DIRECTION_VERTICAL);
    case 8:
      return rotate(VIPS_ANGLE_D270);
    default:
      return true;
  }
}

bool fit_box(Image& image, const Geometry& geometry, OutputFormat output) {
  const int width = static_cast<int>(geometry.output_width);
  const int height = static_cast<int>(geometry.output_height);
  if (image->Xsize > width || image->Ysize > height) {
    const int cut_width = std::min(width, image->Xsize);
    const int cut_height = std::min(height, image->Ysize);
    const int left = (image->Xsize - cut_width) / 2;
    const int top = (image->Ysize - cut_height) / 2;
    if (!replace(image, [=](VipsImage* in, VipsImage** out) {
          return vips_extract_area(in, out, left, top, cut_width, cut_height, nullptr);
        })) {
      return false;
    }
  }
  if (image->Xsize == width && image->Ysize == height) return true;
  // Padding is transparent where the picture and the format have alpha, white otherwise.
  const bool clear = vips_image_hasalpha(image.get()) != 0 && output != OutputFormat::jpeg;
  const int left = (width - image->Xsize) / 2;
  const int top = (height - image->Ysize) / 2;
  return replace(image, [=](VipsImage* in, VipsImage** out) {
    return vips_embed(in, out, left, top, width, height, "extend",
                      clear ? VIPS_EXTEND_BLACK : VIPS_EXTEND_WHITE, nullptr);
  });
}

}  // namespace vignette::imaging
