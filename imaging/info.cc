#include "imaging/info.h"

#include <fmt/core.h>

#include "base/strings.h"

namespace vignette::imaging {
std::string info_json(const ImageInfo& info, std::string_view etag) {
  std::string out = fmt::format(
      R"({{"w":{},"h":{},"format":"{}","orientation":{},"frames":{},"alpha":{},"icc":{},"bytes":{})",
      info.width, info.height, to_string(info.format), info.orientation, info.frames, info.alpha,
      info.icc_bytes > 0, info.source_bytes);
  if (!etag.empty()) {
    out += R"(,"etag":")";
    append_json_escaped(out, etag);
    out += '"';
  }
  out += '}';
  return out;
}

}  // namespace vignette::imaging
