#include "proxy/route/route_path.h"

#include <algorithm>

namespace vignette::proxy {

std::string_view origin_path(const conf::Route& route, std::string_view path, std::string& scratch) {
  if (!route.strip_prefix) return path;
  std::size_t cut = std::min(path.size(), route.path.size());
  if (cut > 0 && path[cut - 1] == '/') --cut;
  path.remove_prefix(cut);
  if (path.starts_with('/')) return path;
  return scratch.assign("/").append(path);
}

std::string_view image_path(const conf::Route& route, std::string_view raw_path, std::string_view path) {
  std::string_view rest = raw_path.starts_with(route.path) ? raw_path : path;
  rest.remove_prefix(std::min(rest.size(), route.path.size()));
  return rest;
}

}  // namespace vignette::proxy
