// Fields that tell an origin who asks and through whom: X-Forwarded-*, X-Real-IP, X-Client-Cert-*, Via,
// CDN-Loop. What a client claims in them counts only when it is a trusted hop; otherwise it is overwritten.
#pragma once

#include <string_view>

#include "base/arena.h"
#include "conf/address.h"
#include "http/message.h"
#include "net/stream.h"

namespace vignette::proxy {

// Our name in Via, CDN-Loop and Cache-Status.
inline constexpr std::string_view kNodeName = "vignette";

struct ForwardedFacts {
  conf::IpBytes peer{};
  conf::IpBytes client{};
  bool trusted = false;        // the peer is one of `trusted`
  std::string_view scheme;     // of the client's connection
  std::string_view authority;  // host[:port] as asked for
  std::uint16_t port = 0;      // local port of the connection
  // Null: the listener does not ask for certificates. Its fingerprint is empty: the client has shown none.
  const net::PeerCertificate* certificate = nullptr;
};

// Makes `head.fields` what an origin gets: hop-by-hop fields go, the forwarding ones are set. Values live in
// `texts`, or are the facts' own, which outlive the fields. False: list or texts are full and a field is
// missing, so that the request must not go on.
[[nodiscard]] bool prepare_forwarded(http::RequestHead& head, const ForwardedFacts& facts, Arena& texts);

// X-Client-Cert-* become what the node knows: who sends them says who it is, so nobody else's pass, a trusted
// hop's neither. Before keys are made of the fields, and after a client's Connection has named what goes.
// Values are the certificate's own, which outlives the fields. False: the list is full.
[[nodiscard]] bool set_certificate(http::FieldList& fields, const net::PeerCertificate* certificate);

// Whether the request has been here already (RFC 8586).
bool is_loop(const http::FieldList& fields);

}  // namespace vignette::proxy
