// GET /v1/explain?url=…&header=…: answered by a thread that may read a disk.
#pragma once

#include <string>

#include "net/task.h"
#include "proxy/admin/admin_reply.h"
#include "proxy/node.h"
#include "proxy/route/snapshot.h"

namespace vignette::proxy {

// 200 with explain_json(), 400 for what is no question or has no key, 503 when too much is being read.
// Loop-thread only. `node` outlives the loop.
net::Task<AdminReply> answer_explain(Node& node, SnapshotRef snapshot, std::string query);

}  // namespace vignette::proxy
