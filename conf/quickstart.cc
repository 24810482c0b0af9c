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

void replace_once(std::string& text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  VCHECK(at != std::string::npos);
  text.replace(at, from.size(), to);
}

}  // namespace

std::string quickstart_text(std::string_view photos, std::string_view countries) {
  std::string text(kQuickstart);
  replace_once(text, "directory = \"photos\"", "directory = " + quoted(photos));
  const std::string country = "country = " + quoted(countries);
  replace_once(text, "country = \"countries.mmdb\"", countries.empty() ? "# " + country : country);
  return text;
}

}  // namespace vignette::conf
