// The end of a connection whose client may still be sending.
#pragma once

#include <span>

#include "net/stream.h"
#include "net/task.h"

namespace vignette::proxy {

// Our side has been ended: reads and drops what is still coming, so that our last bytes are not lost to a
// reset (RFC 9112 §9.6). Ends with the client, after 256 KiB, or after 2 s. `into` lives in the caller's
// frame or longer. Loop-thread only.
net::Task<void> linger(net::Stream& stream, std::span<char> into);

}  // namespace vignette::proxy
