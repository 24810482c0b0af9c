// What is known of a client's connection; one per connection, read by its exchanges.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "conf/address.h"

namespace vignette::proxy {

struct ClientFacts {
  conf::IpBytes peer{};         // 127.0.0.1 for unix sockets
  std::uint16_t peer_port = 0;  // 0 for unix sockets
  bool tls = false;
  std::string_view tls_version;  // static; "" without TLS
  std::uint16_t local_port = 0;
  std::optional<std::uint16_t> redirect_https_port;  // of the listener
  bool is_own = false;  // the node itself (warm.h): rules about who may ask do not hold

  std::string_view scheme() const { return tls ? "https" : "http"; }
};

}  // namespace vignette::proxy
