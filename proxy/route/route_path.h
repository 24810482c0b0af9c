// What a route takes of a URL's path. Requests go by it, and so does who asks where something is stored.
#pragma once

#include <string>
#include <string_view>

#include "conf/config.h"

namespace vignette::proxy {

// What the origin is asked for: the path, or what the route's prefix leaves of it. A view into `path` or
// `scratch`, which may be overwritten.
std::string_view origin_path(const conf::Route& route, std::string_view path, std::string& scratch);

// What an images route reads: the path behind its prefix, raw, because a signature covers the bytes of the
// URL. Where the raw path does not carry the prefix as it stands, or decoded names something else than the
// normal form (by dots or slashes), it is what the normal form has there: what routes and rules have seen.
std::string_view image_path(const conf::Route& route, std::string_view raw_path, std::string_view path);

}  // namespace vignette::proxy
