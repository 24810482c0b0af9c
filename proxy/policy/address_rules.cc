#include "proxy/policy/address_rules.h"

#include "proxy/policy/client_address.h"

namespace vignette::proxy {

bool address_allowed(const conf::Route& route, const conf::IpBytes& client) {
  if (in_networks(route.deny, client)) return false;
  return route.allow.empty() || in_networks(route.allow, client);
}

}  // namespace vignette::proxy
