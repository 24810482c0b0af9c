// Fields that belong to one connection and are not forwarded (RFC 9110 §7.6.1).
#pragma once

#include "http/field_list.h"
#include "http/refusal.h"

namespace vignette::http {

// Connection, Keep-Alive, Proxy-Connection, Proxy-Authenticate, Proxy-Authentication-Info,
// Proxy-Authorization, TE, Trailer, Transfer-Encoding, Upgrade, HTTP2-Settings.
bool is_hop_by_hop(FieldId id);

// Fields that a client may not have removed by naming them in Connection: Host, Content-Length,
// Transfer-Encoding, Cookie, Authorization, X-Forwarded-*, Forwarded, X-Real-IP, Via, CDN-Loop.
bool is_protected(std::string_view lower_or_mixed_case_name);

// Whether Connection is a list of tokens that names no protected field; Refusal::none when it is fine.
// RequestParser has asked this already.
Refusal check_connection(const FieldList& request);

// Remove the hop-by-hop fields and those that Connection names; a request also loses Host, Content-Length
// and Expect, a response Content-Length: they are written anew from the model. In a response, names of
// protected and essential fields in Connection are ignored (Content-Type, Cache-Control, Set-Cookie, ...).
// Websocket tunnels write their Connection and Upgrade anew too; Sec-WebSocket-* pass.
void strip_request_fields(FieldList& fields);
void strip_response_fields(FieldList& fields);

}  // namespace vignette::http
