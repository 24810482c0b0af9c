// `allow` and `deny` of a route, by client address.
#pragma once

#include "conf/config.h"

namespace vignette::proxy {

// `deny` is asked first; a non-empty `allow` refuses whoever it does not name.
bool address_allowed(const conf::Route& route, const conf::IpBytes& client);

}  // namespace vignette::proxy
