// `compress` of a route: which answers are compressed on their way to clients. Routes to servers only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "http/accept.h"

namespace vignette::conf {

struct RouteCompress {
  bool enabled = false;  // resolved by the loader: true for routes to servers
  // What may be made; which of them a client gets is for it to say.
  std::vector<http::Coding> codings{http::Coding::zstd, http::Coding::br, http::Coding::gzip};
  std::uint64_t min_size = 1024;  // bytes; of an answer that says its length
  // Lower case, a * stands for anything.
  std::vector<std::string> types{"text/*",
                                 "*+json",
                                 "*+xml",
                                 "application/json",
                                 "application/x-ndjson",
                                 "application/javascript",
                                 "application/x-javascript",
                                 "application/xml",
                                 "application/wasm",
                                 "application/vnd.ms-fontobject",
                                 "font/otf",
                                 "font/ttf",
                                 "image/vnd.microsoft.icon",
                                 "image/x-icon"};
};

}  // namespace vignette::conf
