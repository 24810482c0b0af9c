// From an accepted socket to the codec its client speaks: TLS first where the listener says so.
#pragma once

#include "conf/config.h"
#include "net/stream.h"

namespace vignette::proxy {

struct WorkerContext;

// Starts the connection's strand. Loop-thread only.
void start_connection(WorkerContext& context, net::Stream stream, const conf::Listener& listener);

}  // namespace vignette::proxy
