#include "proxy/admin/explain_api.h"

#include "base/json.h"
#include "net/offload.h"
#include "proxy/admin/explain_report.h"

namespace vignette::proxy {
namespace {

AdminReply not_explained(int status, std::string_view why) {
  AdminReply reply{.status = status, .body = {}};
  JsonWriter(reply.body).begin_object().field("error", why).end_object();
  return reply;
}

AdminReply explain_now(const Node& node, const Snapshot& snapshot, std::string_view query) {
  const auto question = read_explain_question(query);
  if (!question) return not_explained(400, question.error());
  const auto explanation = explain(node, snapshot, *question);
  if (!explanation) return not_explained(400, explanation.error());
  return {.status = 200, .body = explain_json(*explanation)};
}

}  // namespace

net::Task<AdminReply> answer_explain(Node& node, SnapshotRef snapshot, std::string query) {
  auto reply = co_await net::offload(
      node.file_pool, [&node, snapshot, query] { return explain_now(node, *snapshot, query); });
  if (!reply) co_return not_explained(503, "too much is being read from disk; try again");
  co_return std::move(*reply);
}

}  // namespace vignette::proxy
