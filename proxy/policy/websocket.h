// The opening handshake of a WebSocket connection (RFC 6455 section 4.2.1), as far as it is ours to judge:
// version and extensions are the origin's affair.
#pragma once

#include "http/field_list.h"

namespace vignette::proxy {

// Whether there is exactly one Sec-WebSocket-Key, 16 bytes in base64, and one Sec-WebSocket-Version. The
// parser has seen to method, version, Connection and Upgrade.
bool is_websocket_handshake(const http::FieldList& fields);

}  // namespace vignette::proxy
