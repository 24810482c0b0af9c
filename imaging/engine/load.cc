#include "imaging/engine/steps.h"

namespace vignette::imaging {

Image open_source(std::string_view source, SourceFormat format, int shrink) {
  void* data = const_cast<char*>(source.data());
  const std::size_t size = source.size();
  const VipsAccess access = VIPS_ACCESS_SEQUENTIAL;
  const VipsFailOn fail_on = VIPS_FAIL_ON_TRUNCATED;
  VipsImage* out = nullptr;
  int failed = -1;
  switch (format) {
    case SourceFormat::jpeg:
      failed = vips_jpegload_buffer(data, size, &out, "shrink", shrink, "access", access, "fail_on", fail_on,
                                    nullptr);
      break;
    case SourceFormat::png:
      failed = vips_pngload_buffer(data, size, &out, "access", access, "fail_on", fail_on, nullptr);
      break;
    case SourceFormat::webp:
      failed = vips_webpload_buffer(data, size, &out, "access", access, "fail_on", fail_on, nullptr);
      break;
    case SourceFormat::gif:
      failed = vips_gifload_buffer(data, size, &out, "access", access, "fail_on", fail_on, nullptr);
      break;
    case SourceFormat::avif:
    case SourceFormat::heic:
      failed = vips_heifload_buffer(data, size, &out, "access", access, "fail_on", fail_on, nullptr);
      break;
    case SourceFormat::unsupported:
      break;
  }
  return failed == 0 ? Image(out) : Image();
}

}  // namespace vignette::imaging
