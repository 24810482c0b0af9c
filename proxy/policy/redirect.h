// Answers that send the client elsewhere: a listener's redirect to https, a route's redirect.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "conf/config.h"
#include "http/message.h"

namespace vignette::proxy {

struct RedirectFacts {
  std::string_view scheme;       // "http" or "https"
  std::string_view host;         // without port, as validated by the parser
  std::string_view request_uri;  // path and query as received, origin-form
  std::string_view path;         // normalised
  std::string_view query;
  bool has_query = false;
};

// The Location of a route's redirect.
std::string redirect_location(const conf::Route& route, const RedirectFacts& facts);

// The Location on https; port 443 is left out.
std::string https_location(const RedirectFacts& facts, std::uint16_t port);

}  // namespace vignette::proxy
