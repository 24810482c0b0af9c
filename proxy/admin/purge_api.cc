#include "proxy/admin/purge_api.h"

#include "base/json.h"
#include "proxy/admin/purge_run.h"

namespace vignette::proxy {
namespace {

AdminReply unusable(int status, std::string_view why) {
  AdminReply reply{.status = status, .body = {}};
  JsonWriter(reply.body).begin_object().field("error", why).end_object();
  return reply;
}

}  // namespace

net::Task<AdminReply> answer_purge_order(Node& node, SnapshotRef snapshot, std::string body) {
  if (!node.purges) co_return unusable(503, "this node keeps no book of purges");
  auto order = read_purge_order(body, *snapshot);
  if (!order) co_return unusable(400, order.error());
  auto reply = co_await run_purge(node, std::move(*order));
  co_return reply;
}

}  // namespace vignette::proxy
