// The meaning of a head once its lines are known to be well formed: start lines, the authority, body framing,
// persistence. Pure functions behind the two parsers.
#pragma once

#include <string_view>

#include "http/message.h"
#include "http/refusal.h"

namespace vignette::http {

// "GET /path HTTP/1.1" (RFC 9112 §3). In absolute-form head.authority holds the target's authority as sent.
Refusal parse_request_line(std::string_view line, RequestHead& head);
// The two halves of it, for HTTP/2's :method and :path.
Refusal take_method(std::string_view name, RequestHead& head);
Refusal parse_target(std::string_view target, RequestHead& head);
// "HTTP/1.1 200 OK" (RFC 9112 §4); the reason phrase may be missing, with or without its space.
Refusal parse_status_line(std::string_view line, ResponseHead& head);

// Authority, framing, Connection, Expect, Upgrade of a request whose fields are complete. Lower-cases the
// host in place.
Refusal finish_request(RequestHead& head);
// Framing and persistence of an answer to `method`. For 1xx, 204, 304 and answers to HEAD the framing is
// none.
Refusal finish_response(Method method, ResponseHead& head);

}  // namespace vignette::http
