#include "conf/config.h"

#include <algorithm>

namespace vignette::conf {

const Origin* Config::find_origin(std::string_view name) const {
  const auto found = std::ranges::find(origins, name, &Origin::name);
  return found == origins.end() ? nullptr : &*found;
}

std::string_view to_string(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warn:
      return "warn";
    case LogLevel::error:
      return "error";
  }
  return "";
}

std::string_view to_string(OriginKind kind) {
  switch (kind) {
    case OriginKind::servers:
      return "servers";
    case OriginKind::s3:
      return "s3";
    case OriginKind::directory:
      return "directory";
  }
  return "";
}

std::string_view to_string(CacheMode mode) {
  switch (mode) {
    case CacheMode::on:
      return "on";
    case CacheMode::explicit_only:
      return "explicit";
    case CacheMode::off:
      return "off";
  }
  return "";
}

std::string_view to_string(RouteKind kind) {
  switch (kind) {
    case RouteKind::origin:
      return "origin";
    case RouteKind::images:
      return "images";
    case RouteKind::redirect:
      return "redirect";
    case RouteKind::gallery:
      return "gallery";
  }
  return "";
}

std::string_view to_string(UnsignedImages access) {
  switch (access) {
    case UnsignedImages::off:
      return "off";
    case UnsignedImages::presets:
      return "presets";
    case UnsignedImages::on:
      return "on";
  }
  return "";
}

}  // namespace vignette::conf
