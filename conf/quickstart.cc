// The embedded default configuration: examples/quickstart.toml, put into a source file by CMake.
#include <fmt/core.h>

#include "base/check.h"
#include "conf/loader.h"

namespace vignette::conf {

extern const std::string_view kQuickstart;  // generated

namespace {

// A TOML basic string.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if ((c >= 0 && c < ' ') || c == '\x7f') {
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace

std::string quickstart_text(std::string_view photos) {
  constexpr std::string_view kPhotos = "directory = \"photos\"";
  std::string text(kQuickstart);
  const std::size_t at = text.find(kPhotos);
  VCHECK(at != std::string::npos);
  return text.replace(at, kPhotos.size(), "directory = " + quoted(photos));
}

}  // namespace vignette::conf
