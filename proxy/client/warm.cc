#include "proxy/client/warm.h"

#include <fmt/core.h>

#include "http/parser.h"
#include "net/worker.h"
#include "proxy/client/exchange.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

using Outcome = WarmReply::Outcome;

constexpr Duration kFillWait = std::chrono::seconds(5);
constexpr Duration kFillPoll = std::chrono::milliseconds(10);
constexpr conf::IpBytes kLoopback{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127, 0, 0, 1};

// Takes an answer and keeps the body where it is wanted.
class WarmResponder final : public Responder {
 public:
  explicit WarmResponder(std::uint64_t most_kept) : most_kept_(most_kept) {}

  void begin(const ResponseParts& parts) override { status_ = parts.status; }
  void append(Slice piece) override {
    bytes_ += piece.size();
    if (bytes_ <= most_kept_) body_ += piece.view();
  }
  void end() override { has_ended_ = true; }
  void abort() override { has_ended_ = false; }
  net::Task<Result<void>> flush() override {
    auto turn = co_await net::yield();
    co_return turn;
  }
  bool begun() const override { return status_ != 0; }
  std::uint64_t answered_bytes() const override { return bytes_; }
  bool wants_body() const override { return true; }

  int status() const { return status_; }
  bool has_ended() const { return has_ended_; }
  bool is_whole() const { return has_ended_ && bytes_ <= most_kept_; }
  std::string take_body() { return std::move(body_); }

 private:
  const std::uint64_t most_kept_;
  int status_ = 0;
  std::uint64_t bytes_ = 0;
  bool has_ended_ = false;
  std::string body_;
};

WarmReply good(Outcome outcome, int status) {
  return {.outcome = outcome, .status = status, .reason = {}, .body = {}};
}
WarmReply failed(int status, std::string reason) {
  return {.outcome = Outcome::failed, .status = status, .reason = std::move(reason), .body = {}};
}

bool has(WorkerContext& context, const std::string& key_string) {
  return context.node.store.may_have(cache::hash_key(key_string), key_string);
}

bool is_resident(WorkerContext& context, const std::string& key_string) {
  return static_cast<bool>(context.node.store.peek(cache::hash_key(key_string), key_string));
}

// The last byte of a chunk is read before the chunk is kept.
net::Task<void> await_fill(WorkerContext& context, const std::string& key_string) {
  const TimePoint deadline = context.loop.now() + kFillWait;
  while (context.node.fills.has_open(cache::hash_key(key_string), key_string) &&
         context.loop.now() < deadline) {
    auto slept = co_await net::sleep_for(kFillPoll);
    if (!slept) co_return;
  }
}

std::string why_not(const Exchange& exchange, const WarmResponder& responder) {
  if (!exchange.reason().empty()) return std::string(exchange.reason());
  if (responder.begun() && !responder.has_ended()) return "cut short";
  if (responder.status() >= 400) return fmt::format("answered {}", responder.status());
  const std::string_view detail = exchange.cache_status().detail;
  return detail.empty() ? "not stored" : fmt::format("not stored ({})", detail);
}

WarmReply judge_url(const Exchange& exchange, const WarmResponder& responder) {
  const cache::CacheStatus& status = exchange.cache_status();
  const bool is_good = responder.has_ended() && responder.status() < 400 && (status.hit || status.stored);
  if (!is_good) return failed(responder.status(), why_not(exchange, responder));
  return good(status.hit ? Outcome::hit : Outcome::stored, responder.status());
}

WarmReply judge_key(WorkerContext& context, const std::string& key_string, const Exchange& exchange,
                    const WarmResponder& responder) {
  if (has(context, key_string)) {
    const bool was_hit = exchange.cache_status().hit;
    return good(was_hit ? Outcome::hit : Outcome::stored, responder.status());
  }
  const bool is_other = responder.has_ended() && exchange.cache_status().stored;
  return failed(responder.status(),
                is_other ? "the answer is kept under another key" : why_not(exchange, responder));
}

WarmReply judge_body(const Exchange& exchange, WarmResponder& responder) {
  if (!responder.has_ended() || responder.status() != 200) {
    return failed(responder.status(), why_not(exchange, responder));
  }
  if (!responder.is_whole()) return failed(responder.status(), "too long");
  WarmReply reply = good(Outcome::stored, responder.status());
  reply.body = responder.take_body();
  return reply;
}

}  // namespace

net::Task<WarmReply> warm(WorkerContext& context, WarmOrder order) {
  if (!order.key_string.empty() && is_resident(context, order.key_string)) co_return good(Outcome::hit, 0);
  http::RequestParser parser;
  http::RequestHead head;
  const http::Parsed parsed = parser.parse(order.head, head);
  if (!parsed.done() || parsed.consumed != order.head.size() || head.has_body()) {
    co_return failed(0, "the request is not well formed");
  }
  ClientFacts client;
  client.peer = kLoopback;
  client.tls = order.tls;
  client.is_own = true;
  WarmResponder responder(order.keep_bytes);
  ExchangeScratch scratch;
  Exchange exchange(context, client, head, nullptr, responder, scratch);
  if (!exchange.answer_now()) {
    const bool is_wanted = exchange.goes_by_cache() || order.keep_bytes > 0;
    if (!is_wanted) co_return failed(0, "never stored");
    co_await exchange.answer();
  }
  if (order.keep_bytes > 0) co_return judge_body(exchange, responder);
  if (order.key_string.empty()) co_return judge_url(exchange, responder);
  co_await await_fill(context, order.key_string);
  co_return judge_key(context, order.key_string, exchange, responder);
}

}  // namespace vignette::proxy
