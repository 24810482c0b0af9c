// How an exchange writes its answers: heads with Cache-Status and Age, refusals, the end of it all.

#include <fmt/core.h>

#include "http/status.h"
#include "proxy/client/access_log.h"
#include "proxy/client/exchange.h"
#include "proxy/media/gallery.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

constexpr std::uint64_t kObjectOverhead = 512;  // of memory, beside the body; about what a head takes

}  // namespace

// Until the exchange ends; nullopt when there is no more room.
std::optional<std::string_view> Exchange::keep(std::string_view text) { return scratch_.texts.copy(text); }

void Exchange::write_cache_status() {
  char text[cache::kCacheStatusBytes];
  scratch_.extra.append("Cache-Status: ").append(cache::render(status_, text)).append("\r\n");
}

bool Exchange::needs_field_edits() const {
  return route_ && (!route_->set_fields.empty() || !route_->remove_fields.empty());
}

void Exchange::edit_fields(http::FieldList& fields) {
  if (!route_) return;
  for (const std::string& name : route_->remove_fields) fields.remove(name);
  for (const auto& [name, value] : route_->set_fields) fields.set(name, value);
}

void Exchange::begin(int status, const http::FieldList* fields, Slice wire,
                     std::optional<std::uint64_t> length) {
  answered_ = status;
  write_cache_status();
  ResponseParts parts;
  parts.status = status;
  parts.extra = scratch_.extra;
  parts.fields = fields;
  parts.wire = std::move(wire);
  parts.content_length = length;
  responder_.begin(parts);
}

void Exchange::lose_client(const Error& error) {
  const bool is_slow = error.code == Code::timeout;
  if (reason_.empty()) reason_ = is_slow ? "send_timeout" : "client_gone";
  if (is_slow) context_.node.metrics.answers_stalled.add(context_.index);
}

void Exchange::note_tunnel(const TunnelOutcome& outcome) {
  tunnelled_ = outcome;
  reason_ = outcome.reason;
}

// The answer ends here, and not as if it were whole.
void Exchange::break_off(std::string_view reason) {
  reason_ = reason;
  responder_.abort();
}

// Sends what is queued of an answer that goes on. False: the client does not take it.
net::Task<bool> Exchange::flush_or_abort() {
  auto sent = co_await responder_.flush();
  if (sent) co_return true;
  responder_.abort();
  lose_client(sent.error());
  co_return false;
}

void Exchange::simple_answer(int status, std::string_view content_type, std::string_view body) {
  http::FieldList fields;
  if (!content_type.empty()) fields.add(http::FieldId::content_type, content_type);
  edit_fields(fields);
  begin(status, &fields, {}, body.size());
  if (responder_.wants_body()) responder_.append(Slice::copy(body));
  responder_.end();
}

void Exchange::refuse(const ErrorAnswer& answer) {
  reason_ = answer.reason;
  if (answer.status >= 400) status_.detail = answer.reason;
  if (answer.retry_after > 0) {
    scratch_.extra += fmt::format("Retry-After: {}\r\n", answer.retry_after);
  }
  if (!answer.allow.empty()) scratch_.extra.append("Allow: ").append(answer.allow).append("\r\n");
  scratch_.extra += "Cache-Control: no-store\r\n";
  context_.node.metrics.refused(context_.index, answer.reason);
  simple_answer(answer.status, "text/html; charset=utf-8", error_page(answer));
}

void Exchange::reject(std::string_view reason) {
  reason_ = reason;
  context_.node.metrics.refused(context_.index, reason);
}

// What a store refuses has a reason, and a page where it gave none. True: answered with that page.
bool Exchange::refuse_for_store(int status, std::optional<std::uint64_t> length) {
  if (status < 400 || route_->origins.front()->kind() == Origin::Kind::servers) return false;
  const ErrorAnswer answer = answer_for_store(status);
  if (length == 0) {
    refuse(answer);
    return true;
  }
  reason_ = answer.reason;
  status_.detail = answer.reason;
  context_.node.metrics.refused(context_.index, answer.reason);
  return false;
}

void Exchange::finish() {
  NodeMetrics& metrics = context_.node.metrics;
  unsigned worker = context_.index;
  metrics.responses[static_cast<std::size_t>(answered_ / 100) % metrics.responses.size()]->add(worker);
  metrics.cache[static_cast<std::size_t>(outcome_)]->add(worker);
  Duration took = context_.loop.clock().now() - started_;
  // How long a tunnel was open is no time that anybody waited.
  if (route_ && answered_ != 101) route_->metrics.duration->record(worker, took);
  note_in_sketches();
  if (!context_.node.access_log) return;
  AccessRecord record;
  record.time = context_.loop.wall();
  record.client = address_;
  record.country = country_;
  record.connection = &client_;
  record.request = &head_;
  if (route_) record.route = route_->label;
  record.status = answered_;
  record.sent = responder_.answered_bytes() + tunnelled_.to_client;
  record.received = (body_ ? body_->bytes() : 0) + tunnelled_.to_origin;
  record.duration = took;
  record.cache = to_string(outcome_);
  record.cache_detail = status_.detail;
  record.origin = origin_name_;
  // Without a server nobody has answered yet: a fill behind a stale answer, or one that failed.
  record.trace = trace_ && !trace_->server.empty() ? trace_.get() : nullptr;
  record.reason = reason_;
  write_access_record(*context_.node.access_log, worker, record, context_.log_line);
}

// Answers that went by a cache key: what came out of a store is a hit, what an origin was asked for a miss.
void Exchange::note_in_sketches() {
  const bool is_hit = outcome_ == CacheOutcome::hit || outcome_ == CacheOutcome::stale ||
                      outcome_ == CacheOutcome::revalidated || outcome_ == CacheOutcome::partial;
  const bool is_miss = outcome_ == CacheOutcome::miss || outcome_ == CacheOutcome::collapsed;
  if (!context_.node.insight || !(is_hit || is_miss) || scratch_.key.empty()) return;
  const std::uint64_t sent = responder_.answered_bytes();
  const bool is_kept = is_hit || status_.stored;
  context_.node.insight->recorder(context_.index)
      .record({.key = key_,
               .key_string = scratch_.key,
               .is_hit = is_hit,
               .sent_bytes = sent,
               .object_bytes = is_kept ? std::max(object_bytes_, sent) + kObjectOverhead : 0},
              context_.loop.now());
}

net::Task<void> Exchange::answer_gallery() {
  auto page = co_await gallery_page(context_, *snapshot_, *route_->origins.front(), *route_);
  if (!page) {
    refuse(answer_for(page.error()));
    co_return;
  }
  outcome_ = CacheOutcome::none;
  status_.forward = cache::Forward::bypass;
  scratch_.extra += "Cache-Control: no-cache\r\n";
  simple_answer(200, "text/html; charset=utf-8", *page);
}

}  // namespace vignette::proxy
