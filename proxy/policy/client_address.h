// Whose request it is: the peer's address, or what trusted hops say of it in X-Forwarded-For.
#pragma once

#include <vector>

#include "conf/address.h"
#include "http/message.h"

namespace vignette::proxy {

// True when `address` lies in one of `networks`.
bool in_networks(const std::vector<conf::IpPrefix>& networks, const conf::IpBytes& address);

// Walks X-Forwarded-For from its right end for as long as the hop that wrote the entry is trusted; the
// first address written by an untrusted hop is the client. An entry that is not an address ends the walk.
conf::IpBytes client_address(const conf::IpBytes& peer, const http::FieldList& fields,
                             const std::vector<conf::IpPrefix>& trusted);

// "10.0.0.1" or "2001:db8::1"; at most 45 characters.
std::string ip_to_string(const conf::IpBytes& address);

}  // namespace vignette::proxy
