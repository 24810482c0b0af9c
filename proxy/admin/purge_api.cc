#include "proxy/admin/purge_api.h"

#include "base/json.h"
#include "net/offload.h"
#include "proxy/admin/purge_order.h"

namespace vignette::proxy {
namespace {

AdminReply refusal(int status, std::string_view why) {
  AdminReply reply{.status = status, .body = {}};
  JsonWriter(reply.body).begin_object().field("error", why).end_object();
  return reply;
}

std::string summary(const PurgeOrder& order) {
  std::string text = order.kind;
  if (!order.names.empty()) text.append(" ").append(order.names.front());
  if (order.names.size() > 1)
    text.append(" and ").append(std::to_string(order.names.size() - 1)).append(" more");
  return text;
}

}  // namespace

net::Task<AdminReply> answer_purge_order(Node& node, SnapshotRef snapshot, std::string body) {
  if (!node.purges) co_return refusal(503, "this node keeps no book of purges");
  auto order = read_purge_order(body, *snapshot);
  if (!order) co_return refusal(400, order.error());
  if (order->dry_run) {
    auto count = co_await net::offload(
        node.file_pool, [&node, order = *order] { return count_purged(node.store, order, node.clock); });
    if (!count) co_return refusal(503, "too much is being read from disk; try again");
    co_return AdminReply{.status = 200, .body = dry_run_json(*order, *count)};
  }
  auto receipt = co_await net::offload(node.file_pool, [book = node.purges, order = *order] {
    return book->purge(order.targets, order.mode);
  });
  if (!receipt) {
    PurgeRefusal refused = refusal_for(receipt.error());
    co_return AdminReply{.status = refused.status, .body = std::move(refused.json)};
  }
  node.log.info("purge {} ({}, {})", receipt->sequence,
                order->mode == cache::PurgeMode::soft ? "soft" : "hard", summary(*order));
  co_return AdminReply{.status = 200, .body = receipt_json(*order, *receipt)};
}

}  // namespace vignette::proxy
