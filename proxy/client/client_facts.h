// What is known of a client's connection; one per connection, read by its exchanges.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "conf/address.h"
#include "net/stream.h"
#include "net/tls.h"

namespace vignette::proxy {

struct ClientFacts {
  // Who connected, and to where: the ends of the connection itself, or what a trusted PROXY header says they
  // are.
  conf::IpBytes peer{};         // 127.0.0.1 for unix sockets
  std::uint16_t peer_port = 0;  // 0 for unix sockets
  conf::IpBytes local{};
  std::uint16_t local_port = 0;
  bool tls = false;
  std::string_view tls_version;  // static; "" without TLS
  // Of a listener that asks for certificates; its fingerprint is empty when the client has shown none. Null:
  // it does not ask.
  std::shared_ptr<const net::PeerCertificate> certificate;
  // The listener's when the connection began; null without TLS.
  std::shared_ptr<const net::TlsServer> tls_server;
  std::optional<std::uint16_t> redirect_https_port;  // of the listener
  bool is_own = false;  // the node itself (warm.h): rules about who may ask do not hold

  std::string_view scheme() const { return tls ? "https" : "http"; }
};

}  // namespace vignette::proxy
