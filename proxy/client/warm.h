// The exchange that a client would have, without a client: what warms the cache. It goes through the same
// router, keys, fills and stores; rules about who may ask (addresses, countries, signatures of photos) do not
// hold for the node itself, and what is only passed through is not asked for.
#pragma once

#include "net/task.h"
#include "proxy/admin/warm_order.h"

namespace vignette::proxy {

struct WorkerContext;

// Until the whole answer has been read, by the exchange's own time-outs. Loop-thread only.
net::Task<WarmReply> warm(WorkerContext& context, WarmOrder order);

}  // namespace vignette::proxy
