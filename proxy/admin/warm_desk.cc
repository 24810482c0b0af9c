#include "proxy/admin/warm_desk.h"

#include <memory>
#include <optional>
#include <utility>

#include "base/json.h"
#include "net/signal.h"

namespace vignette::proxy {
namespace {

AdminReply complaint(int status, std::string_view why) {
  AdminReply reply{.status = status, .body = {}};
  JsonWriter(reply.body).begin_object().field("error", why).end_object();
  return reply;
}

WarmReply unanswered(std::string_view why) {
  return {.outcome = WarmReply::Outcome::failed, .status = 0, .reason = std::string(why), .body = {}};
}

struct Waiting {
  net::Signal arrived;
  std::optional<WarmReply> reply;
};

}  // namespace

net::Task<WarmReply> WarmDesk::run(WarmOrder order) {
  auto waiting = std::make_shared<Waiting>();
  run_(std::move(order), [waiting, mailbox = loop_.mailbox()](WarmReply reply) {
    mailbox->post([waiting, reply = std::move(reply)]() mutable {
      waiting->reply = std::move(reply);
      waiting->arrived.notify_all();
    });
  });
  const TimePoint deadline = loop_.now() + kLongest;
  ++open_;
  while (!waiting->reply) {
    auto woken = co_await waiting->arrived.wait(deadline);
    if (!woken) break;
  }
  --open_;
  if (!waiting->reply) co_return unanswered("no answer in time");
  co_return std::move(*waiting->reply);
}

net::Task<AdminReply> WarmDesk::take(SnapshotRef snapshot, std::string text) {
  auto order = read_warm_order(text, *snapshot);
  if (!order) co_return complaint(400, order.error());
  if (open_ == kMaxOpen) co_return complaint(503, "too many orders at once");
  auto reply = co_await run(std::move(*order));
  counts_[static_cast<std::size_t>(reply.outcome)].fetch_add(1, std::memory_order_relaxed);
  co_return AdminReply{.status = 200, .body = warm_reply_json(reply)};
}

net::Task<AdminReply> WarmDesk::read_document(SnapshotRef snapshot, std::string url) {
  auto order = read_warm_order(url, *snapshot);
  if (!order || !order->key_string.empty()) co_return complaint(400, "it is not an http or https URL");
  if (open_ == kMaxOpen) co_return complaint(503, "too many orders at once");
  order->keep_bytes = kMaxDocument;
  auto reply = co_await run(std::move(*order));
  if (reply.outcome == WarmReply::Outcome::failed) co_return complaint(502, reply.reason);
  co_return AdminReply{.status = 200, .body = std::move(reply.body)};
}

}  // namespace vignette::proxy
