#include "proxy/route/route_path.h"

#include <algorithm>

#include "http/chars.h"

namespace vignette::proxy {
namespace {

// Takes one byte, decoded. Escapes are well formed in what has a normal form.
char take_decoded(std::string_view& text) {
  const char c = text.front();
  const bool is_escape = c == '%' && text.size() >= 3;
  const std::string_view digits = is_escape ? text.substr(1, 2) : std::string_view();
  text.remove_prefix(is_escape ? 3 : 1);
  if (!is_escape) return c;
  return static_cast<char>(http::chars::hex_value(digits[0]) << 4 | http::chars::hex_value(digits[1]));
}

bool is_same_decoded(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    if (take_decoded(a) != take_decoded(b)) return false;
  }
  return a.empty() && b.empty();
}

}  // namespace

std::string_view origin_path(const conf::Route& route, std::string_view path, std::string& scratch) {
  if (!route.strip_prefix) return path;
  std::size_t cut = std::min(path.size(), route.path.size());
  if (cut > 0 && path[cut - 1] == '/') --cut;
  path.remove_prefix(cut);
  if (path.starts_with('/')) return path;
  return scratch.assign("/").append(path);
}

std::string_view image_path(const conf::Route& route, std::string_view raw_path, std::string_view path) {
  const auto behind = [&](std::string_view whole) {
    return whole.substr(std::min(whole.size(), route.path.size()));
  };
  const bool is_same = raw_path.starts_with(route.path) && is_same_decoded(behind(raw_path), behind(path));
  return behind(is_same ? raw_path : path);
}

}  // namespace vignette::proxy
