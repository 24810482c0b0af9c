#include "proxy/policy/redirect.h"

#include <fmt/format.h>

namespace vignette::proxy {

std::string redirect_location(const conf::Route& route, const RedirectFacts& facts) {
  std::string location;
  for (const conf::RedirectPart& part : route.redirect.parts) {
    using Kind = conf::RedirectPart::Kind;
    switch (part.kind) {
      case Kind::text:
        location += part.text;
        break;
      case Kind::scheme:
        location += facts.scheme;
        break;
      case Kind::host:
        location += facts.host;
        break;
      case Kind::request_uri:
        location += facts.request_uri;
        break;
      case Kind::rest:
        location += facts.path.substr(std::min(route.path.size(), facts.path.size()));
        if (facts.has_query) location.append("?").append(facts.query);
        break;
    }
  }
  return location;
}

std::string https_location(const RedirectFacts& facts, std::uint16_t port) {
  if (port == 443) return fmt::format("https://{}{}", facts.host, facts.request_uri);
  return fmt::format("https://{}:{}{}", facts.host, port, facts.request_uri);
}

}  // namespace vignette::proxy
