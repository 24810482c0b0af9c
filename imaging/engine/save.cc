#include <cstring>
#include <string>
#include <vector>

#include "imaging/engine/steps.h"
#include "imaging/webp_container.h"

namespace vignette::imaging {
namespace {

constexpr int kAutoQualityJpeg = 80;
constexpr int kAutoQualityWebp = 80;

void* collect_field(VipsImage*, const char* field, GValue*, void* names) {
  static_cast<std::vector<std::string>*>(names)->emplace_back(field);
  return nullptr;
}

// Everything a file may carry beside pixels goes: EXIF, XMP, IPTC, thumbnails, comments, profiles, density.
// Savers cannot be trusted with it: webpsave ignores `strip`.
bool drop_metadata(Image& image) {
  if (!replace(image, [](VipsImage* in, VipsImage** out) {
        return vips_copy(in, out, "xres", 1.0, "yres", 1.0, "xoffset", 0, "yoffset", 0, nullptr);
      })) {
    return false;
  }
  std::vector<std::string> names;
  vips_image_map(image.get(), collect_field, &names);
  for (const std::string& name : names) vips_image_remove(image.get(), name.c_str());
  return true;
}

bool flatten(Image& image) {
  if (vips_image_hasalpha(image.get()) == 0) return true;
  const std::vector<double> white(image->Bands >= 3 ? 3 : 1, 255);
  const std::unique_ptr<VipsArrayDouble, void (*)(VipsArrayDouble*)> background(
      vips_array_double_new(white.data(), static_cast<int>(white.size())),
      [](VipsArrayDouble* array) { vips_area_unref(VIPS_AREA(array)); });
  return replace(image, [&](VipsImage* in, VipsImage** out) {
    return vips_flatten(in, out, "background", background.get(), nullptr);
  });
}

}  // namespace

bool encode(Image& image, OutputFormat output, int quality, Encoded& out) {
  if (!drop_metadata(image)) return false;
  void* data = nullptr;
  std::size_t size = 0;
  int failed = -1;
  switch (output) {
    case OutputFormat::jpeg:
      if (!flatten(image)) return false;
      failed = vips_jpegsave_buffer(image.get(), &data, &size, "Q", quality > 0 ? quality : kAutoQualityJpeg,
                                    "optimize_coding", TRUE, "interlace", FALSE, "strip", TRUE, nullptr);
      break;
    case OutputFormat::webp:
      failed = vips_webpsave_buffer(image.get(), &data, &size, "Q", quality > 0 ? quality : kAutoQualityWebp,
                                    "strip", TRUE, nullptr);
      break;
    case OutputFormat::png:
      failed = vips_pngsave_buffer(image.get(), &data, &size, "filter", VIPS_FOREIGN_PNG_FILTER_ALL, "strip",
                                   TRUE, nullptr);
      break;
  }
  if (failed == 0 && output == OutputFormat::webp) {
    size = keep_only_picture({static_cast<char*>(data), size});  // libvips writes an EXIF block of its own
  }
  out = Encoded(data, size);
  return failed == 0 && size > 0;
}

}  // namespace vignette::imaging
