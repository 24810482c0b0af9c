// POST /v1/purge: reads the order, has it carried out, answers with the receipt.
#pragma once

#include <string>

#include "net/task.h"
#include "proxy/admin/admin_reply.h"
#include "proxy/node.h"
#include "proxy/route/snapshot.h"

namespace vignette::proxy {

// Loop-thread only. `node` outlives the loop.
net::Task<AdminReply> answer_purge_order(Node& node, SnapshotRef snapshot, std::string body);

}  // namespace vignette::proxy
