// Carries out an order to purge, for the admin API and for PURGE requests.
#pragma once

#include "net/task.h"
#include "proxy/admin/admin_reply.h"
#include "proxy/admin/purge_order.h"
#include "proxy/node.h"

namespace vignette::proxy {

// Counts, purges and, where that was ordered, waits until the bytes are overwritten; a dry run only counts.
// 200 with the receipt only when all that was ordered is done; 500 with it when a restart may forget the
// purge. What was begun goes on when the strand ends.
// Loop-thread only. `node` outlives the loop and keeps a book of purges.
net::Task<AdminReply> run_purge(Node& node, PurgeOrder order);

}  // namespace vignette::proxy
