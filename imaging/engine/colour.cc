// Whatever a file holds, to sRGB planes. Alpha goes its own way before any ICC work: libvips can crash on it
// otherwise.
#include "imaging/engine/steps.h"

namespace vignette::imaging {
namespace {

constexpr std::size_t kMinProfileBytes = 128;
constexpr std::size_t kMaxProfileBytes = std::size_t{1} << 20;

std::string_view profile_of(VipsImage* image) {
  const void* data = nullptr;
  std::size_t size = 0;
  if (vips_image_get_typeof(image, VIPS_META_ICC_NAME) == 0) return {};
  if (vips_image_get_blob(image, VIPS_META_ICC_NAME, &data, &size) != 0) return {};
  return {static_cast<const char*>(data), size};
}

bool is_cmyk(VipsImage* image) { return image->Type == VIPS_INTERPRETATION_CMYK && image->Bands >= 4; }

int colour_bands(VipsImage* image) {
  if (is_cmyk(image)) return 4;
  return image->Bands >= 3 ? 3 : 1;
}

// ICC.1 section 7.2: "acsp" at 36, the data colour space at 16.
bool profile_fits(std::string_view profile, int bands) {
  if (profile.size() < kMinProfileBytes || profile.size() > kMaxProfileBytes) return false;
  if (profile.substr(36, 4) != "acsp") return false;
  const std::string_view space = profile.substr(16, 4);
  return (bands == 1 && space == "GRAY") || (bands == 3 && space == "RGB ") ||
         (bands == 4 && space == "CMYK");
}

// Ink as vips reads it (255 = full) without a profile: light = (255 - ink) · (255 - black) / 255.
bool naive_cmyk(Image& image) {
  Image light;
  Image white;
  VipsImage* out = nullptr;
  if (image->BandFmt != VIPS_FORMAT_UCHAR || vips_invert(image.get(), &out, nullptr) != 0) return false;
  light.reset(out);
  if (vips_extract_band(light.get(), &out, 3, nullptr) != 0) return false;
  white.reset(out);
  return replace(light, [](VipsImage* in,
                           VipsImage** to) { return vips_extract_band(in, to, 0, "n", 3, nullptr); }) &&
         replace(light, [&](VipsImage* in,
                            VipsImage** to) { return vips_multiply(in, white.get(), to, nullptr); }) &&
         replace(light, [](VipsImage* in,
                           VipsImage** to) { return vips_linear1(in, to, 1.0 / 255, 0.5, nullptr); }) &&
         replace(light, [](VipsImage* in, VipsImage** to) { return vips_cast_uchar(in, to, nullptr); }) &&
         replace(light,
                 [](VipsImage* in, VipsImage** to) {
                   return vips_copy(in, to, "interpretation", VIPS_INTERPRETATION_sRGB, nullptr);
                 }) &&
         (image = std::move(light), true);
}

bool through_profile(Image& image) {
  const int depth = image->BandFmt == VIPS_FORMAT_USHORT ? 16 : 8;
  const bool grey = image->Bands == 1;
  const bool done = replace(image, [depth](VipsImage* in, VipsImage** out) {
    return vips_icc_transform(in, out, "srgb", "embedded", TRUE, "intent", VIPS_INTENT_RELATIVE, "depth",
                              depth, nullptr);
  });
  if (!done) return false;
  if (!grey) return true;
  return replace(image,
                 [](VipsImage* in, VipsImage** out) { return vips_extract_band(in, out, 1, nullptr); });
}

// 8 and 16 bits stay, everything else becomes 8 bits of sRGB.
bool to_plain_format(Image& image) {
  if (image->BandFmt == VIPS_FORMAT_UCHAR || image->BandFmt == VIPS_FORMAT_USHORT) return true;
  return replace(image, [](VipsImage* in, VipsImage** out) {
    return vips_colourspace(in, out, VIPS_INTERPRETATION_sRGB, nullptr);
  });
}

bool colour_to_srgb(Image& image) {
  if (!profile_of(image.get()).empty() && through_profile(image)) return true;
  vips_error_clear();
  if (is_cmyk(image.get())) return naive_cmyk(image);
  return to_plain_format(image);
}

}  // namespace

std::uint32_t keep_good_profile(Image& image) {
  const std::string_view profile = profile_of(image.get());
  if (profile.empty()) return 0;
  if (profile_fits(profile, colour_bands(image.get()))) return static_cast<std::uint32_t>(profile.size());
  // A copy, as an image that others may share must not be edited.
  replace(image, [](VipsImage* in, VipsImage** out) { return vips_copy(in, out, nullptr); });
  vips_image_remove(image.get(), VIPS_META_ICC_NAME);
  return 0;
}

bool to_srgb(Image image, Planes& planes) {
  const int bands = colour_bands(image.get());
  if (image->Bands > bands) {
    VipsImage* alpha = nullptr;
    if (vips_extract_band(image.get(), &alpha, bands, nullptr) != 0) return false;
    planes.alpha.reset(alpha);
    if (!replace(image, [bands](VipsImage* in, VipsImage** out) {
          return vips_extract_band(in, out, 0, "n", bands, nullptr);
        })) {
      return false;
    }
  }
  if (!colour_to_srgb(image)) return false;
  planes.colour = std::move(image);
  return true;
}

}  // namespace vignette::imaging
