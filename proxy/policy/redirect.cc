#include "proxy/policy/redirect.h"

#include <fmt/core.h>

#include <algorithm>

namespace vignette::proxy {
namespace {

// A path that begins with two slashes names another host (RFC 3986 §4.2): a request that brought them, as
// "/old//evil.example/" does, would choose where its visitor goes.
void keep_on_this_host(std::string& location) {
  if (!location.starts_with("//")) return;
  location.erase(0, std::min(location.find_first_not_of('/'), location.size()) - 1);
}

}  // namespace

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
  if (!route.redirect.parts.front().text.starts_with("//")) keep_on_this_host(location);
  return location;
}

std::string https_location(const RedirectFacts& facts, std::uint16_t port) {
  if (port == 443) return fmt::format("https://{}{}", facts.host, facts.request_uri);
  return fmt::format("https://{}:{}{}", facts.host, port, facts.request_uri);
}

}  // namespace vignette::proxy
