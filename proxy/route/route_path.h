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
// URL. A prefix has no escapes to undo, so when the raw path does not carry it as it stands, the normal form
// of the path does.
std::string_view image_path(const conf::Route& route, std::string_view raw_path, std::string_view path);

}  // namespace vignette::proxy
