// The part of a TLS handshake that both sides share. Internal to net/.
#pragma once

#include <string>

#include "net/stream.h"
#include "net/task.h"

namespace vignette::net {

// Drives the handshake of a stream that has just been given its TLS session, until done, failed or late.
Task<Result<void>> shake_hands(Stream& stream, TimePoint deadline, std::string* reason);

}  // namespace vignette::net
