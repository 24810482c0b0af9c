// Outgoing connections. Loop-thread only.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "net/address.h"
#include "net/stream.h"
#include "net/task.h"
#include "net/tls.h"

namespace vignette::net {

// TCP (with TCP_NODELAY) or a unix socket. The stream's errors blame the origin.
// Errors: refused (also unreachable and a missing unix socket), timeout, exhausted (descriptors), cancelled,
// io; retry = yes for all but cancelled, as nothing was sent.
Task<Result<Stream>> connect(const Address& address, TimePoint deadline);

// The client side of a TLS handshake over a connected stream. `server_name` is sent as SNI unless it is an IP
// address, and is what the certificate must be valid for when the client verifies.
// Code::tls: Error::where is the reason in words ("certificate has expired", "hostname mismatch", …), a
// static string; `reason`, when given, gets the longer text for a log.
Task<Result<Stream>> tls_connect(Stream stream, const TlsClient& client, std::string_view server_name,
                                 TimePoint deadline, std::string* reason = nullptr);

}  // namespace vignette::net
