// The limits of the configuration as the codecs take them.
#pragma once

#include "conf/config.h"
#include "http/parser.h"

namespace vignette::proxy {

inline http::Limits head_limits(const conf::LimitOptions& options) {
  http::Limits limits;
  limits.request_line_bytes = options.request_line;
  limits.header_bytes = options.header;
  limits.fields = options.header_fields;
  return limits;
}

}  // namespace vignette::proxy
