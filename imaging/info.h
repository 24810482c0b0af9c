// What `info` tells about an original.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "imaging/format.h"

namespace vignette::imaging {

struct ImageInfo {
  SourceFormat format = SourceFormat::unsupported;
  std::uint32_t width = 0;  // pixels, upright
  std::uint32_t height = 0;
  std::uint8_t orientation = 1;  // the tag as stored, 1..8
  std::uint32_t frames = 1;
  bool alpha = false;
  std::uint32_t icc_bytes = 0;  // 0: no embedded profile
  std::uint64_t source_bytes = 0;
  bool operator==(const ImageInfo&) const = default;
};

// {"w":…,"h":…,"format":"jpeg","orientation":…,"frames":…,"alpha":…,"icc":…,"bytes":…,"etag":…}; `icc` is a
// boolean, `etag` is escaped and left out when empty.
std::string info_json(const ImageInfo& info, std::string_view etag);

}  // namespace vignette::imaging
