// URLs of services that the node talks to, as options and environment variables name them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "conf/address.h"

namespace vignette::conf {

struct ServiceUrl {
  bool tls = false;
  Address address;     // of kind tcp; the port is the scheme's own when the URL has none
  std::string host;    // the Host field: with brackets, and with the port unless it is the scheme's own
  std::string target;  // path and query as they stand; "/" when the URL has none
};

// "http://HOST[:PORT][/PATH[?QUERY]]", or https. nullopt for everything else: other schemes, user names,
// fragments, characters that a request line cannot hold.
std::optional<ServiceUrl> parse_service_url(std::string_view url);

}  // namespace vignette::conf
