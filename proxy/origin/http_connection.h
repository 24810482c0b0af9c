// One HTTP/1.1 request and its answer over a connection to an origin server (RFC 9112). Loop-thread only.
//
// The head is written and read in one block, a small GET is one write and one read; the body of a short
// answer to an idempotent request is awaited with its head. A request body goes out piece by piece, and stops
// when the origin answers early. The answer's body is a source that owns the connection: taken to its last
// byte the connection goes back to its pool, dropped before that it is closed.
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "net/task.h"
#include "proxy/origin/origin.h"
#include "proxy/origin/origin_pools.h"

namespace vignette::proxy {

struct TransactOptions {
  // From the request sent to the final response head; also bounds each wait while the request is sent.
  Duration first_byte = std::chrono::seconds(35);
  bool reusable = true;  // false: the connection never goes back to its pool
};

// How far a transaction came, for deciding whether it may be repeated. Filled as it goes.
struct TransactProgress {
  bool body_begun = false;   // the request body has been pulled: it cannot be sent again
  bool answered = false;     // bytes of an answer arrived; not when all of a short one was awaited in vain
  bool nothing_ran = false;  // it failed, and the server cannot have acted on any of it
};

// Sends `request` and fills head, head_bytes, body and content_length of `response` (its trace is the
// caller's). Host is request.host; framing fields are written from the model; an interim answer is consumed,
// at most 8. A 101 comes only where the request upgrades, and gives `tunnel`. Errors with Blame::origin:
// closed and reset (retry = if_reused when no byte of an answer came), timeout, malformed (`where` names the
// refusal), tls; with Blame::client those of the request's body; Code::malformed, limit with Blame::internal
// when the request cannot be written; cancelled.
net::Task<Result<void>> transact(OriginConnection connection, const OriginRequest& request,
                                 const TransactOptions& options, OriginResponse& response,
                                 TransactProgress& progress);

}  // namespace vignette::proxy
