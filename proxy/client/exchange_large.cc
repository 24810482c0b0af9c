// Answering with a large object: the manifest's head, then chunk after chunk (media/large_run.h).

#include "base/check.h"
#include "proxy/client/exchange.h"
#include "proxy/client/part.h"
#include "proxy/media/fill_follow.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
// Whether a fill of this request should begin with the first chunk only: a part is asked for, and the answer
// is sure to be kept.
bool Exchange::wants_part() const {
  const auto asked = asked_range(head_);
  const bool is_all = asked && asked->first == 0 && !asked->last;
  if (!asked || is_all || !keeps_chunks(context_.node.store)) return false;
  return route_->origins.front()->kind() != Origin::Kind::servers ||
         route_->cache_policy.mode == cache::CacheMode::on;
}

bool Exchange::has_fresh_manifest() const {
  return found_ && found_->flags().is_manifest && decision_.serve == cache::Serve::fresh;
}

// False: the origin has another version, and nothing is known of that.
net::Task<bool> Exchange::send_found_large() {
  auto answered = co_await send_large(found_);
  if (answered) co_return true;
  found_ = nullptr;
  status_ = {};
  status_.forward = cache::Forward::uri_miss;
  outcome_ = CacheOutcome::miss;
  co_return false;
}

// What was found, although it is stale.
net::Task<void> Exchange::send_stale() {
  if (!found_->flags().is_manifest) {
    send_object(found_);
    co_return;
  }
  auto answered = co_await send_large(found_);
  if (answered) co_return;
  forget_hit();
  refuse(answer_for({Code::unavailable, Blame::origin, Retry::yes, 0, "large: changed"}));
}

LargeSourceRef Exchange::large_source(cache::ObjectRef manifest) {
  std::unique_ptr<FillJob> job = make_job();
  VCHECK(!job->own_origin);  // pictures that are made have no ranges, so they have no manifest
  auto source = std::make_shared<LargeSource>();
  source->snapshot = job->snapshot;
  source->origins = job->origins;
  source->request = std::move(job->request);
  source->manifest = std::move(manifest);
  if (!trace_) trace_ = std::make_shared<OriginTrace>();
  return source;
}

// A hit only when all of it is there (RFC 9211 section 2.2).
void Exchange::note_missing(const LargeReader& reader) {
  if (!status_.hit) return;
  const std::uint64_t missing = reader.missing();
  if (missing == 0) return;
  status_.hit = false;
  status_.forward = cache::Forward::partial;
  status_.stored = true;
  std::string told = "fetching ";
  append_u64(told, missing);
  told += " of ";
  append_u64(told, reader.chunks());
  told += " chunks";
  status_.detail = keep(told).value_or("");
  if (outcome_ == CacheOutcome::hit) outcome_ = CacheOutcome::partial;
}

// What was found is no answer after all.
void Exchange::forget_hit() {
  const cache::Forward forward = status_.hit ? cache::Forward::partial : status_.forward;
  status_ = {};
  status_.forward = forward;
  outcome_ = CacheOutcome::miss;
}

// Nothing has been sent yet. False: because the object has changed, so it may be asked for anew.
bool Exchange::could_not_begin(const cache::Object& manifest, const Error& error) {
  if (error.code == Code::cancelled && error.blame == Blame::client) {
    reason_ = "client_gone";
    return true;
  }
  if (!is_current(context_.node.store, manifest)) return false;
  forget_hit();
  refuse(answer_for(error));
  return true;
}

// By which the type of an original is known.
net::Task<Result<std::string>> Exchange::first_bytes(LargeSourceRef source) {
  LargeReader reader(context_, std::move(source), {0, imaging::kSniffBytes - 1}, trace_);
  std::string bytes;
  while (!reader.at_end()) {
    Slice slice;
    auto count = co_await reader.next(std::span(&slice, 1));
    if (!count) co_return std::unexpected(count.error());
    bytes += slice.view();
  }
  co_return bytes;
}

// False: nothing was sent, and the object has changed.
net::Task<bool> Exchange::send_large(cache::ObjectRef manifest) {
  const Part part = choose_part(head_, *manifest);
  const bool is_sent = part.kind == Part::Kind::whole || part.kind == Part::Kind::part;
  const bool is_original = image_ && image_->kind == imaging::RequestKind::original;
  const bool has_body = is_sent && responder_.wants_body();
  const std::uint64_t size = *manifest->content_length();
  if (!has_body && !is_original) {
    begin_object(*manifest, {});
    co_return true;
  }
  LargeSourceRef source = large_source(manifest);
  std::string first;
  if (is_original) {
    auto sniffed = co_await first_bytes(source);
    if (!sniffed) co_return could_not_begin(*manifest, sniffed.error());
    first = std::move(*sniffed);
  }
  if (!has_body) {
    begin_object(*manifest, first);
    co_return true;
  }
  const http::ByteRange range = part.kind == Part::Kind::part ? part.range : http::ByteRange{0, size - 1};
  LargeReader reader(context_, std::move(source), range, trace_);
  note_missing(reader);
  if (obeyed() && obeyed()->only_if_cached && reader.missing() > 0) {
    forget_hit();
    refuse({.status = 504, .reason = "only_if_cached", .detail = "Not all of this is stored."});
    co_return true;
  }
  auto opened = co_await reader.open();
  if (!opened) co_return could_not_begin(*manifest, opened.error());
  if (begin_object(*manifest, first)) co_await send_chunks(reader);
  co_return true;
}

net::Task<void> Exchange::send_chunks(LargeReader& reader) {
  while (!reader.at_end()) {
    Slice slices[kSlicesATurn];
    auto count = co_await reader.next(slices);
    if (!count) co_return break_off(to_string(count.error().code));
    for (std::size_t i = 0; i < *count; ++i) responder_.append(std::move(slices[i]));
    // The last bytes go out with the connection's own flush.
    if (reader.at_end()) break;
    auto sent = co_await flush_or_abort();
    if (!sent) co_return;
  }
  if (outcome_ == CacheOutcome::hit && reader.fetched() > 0) outcome_ = CacheOutcome::partial;
  responder_.end();
}

}  // namespace vignette::proxy
