// Answering through the cache: a stored object, a fill in flight, or one that this exchange starts.

#include <algorithm>

#include "base/check.h"
#include "cache/purge/purge_book.h"
#include "cache/stored_fields.h"
#include "cache/vary.h"
#include "http/accept.h"
#include "proxy/client/exchange.h"
#include "proxy/client/part.h"
#include "proxy/media/fill_follow.h"
#include "proxy/media/image_origin.h"
#include "proxy/media/stored_lookup.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
bool Exchange::may_serve_stale() {
  if (!found_ || cache::judge(context_.node.store.purges(), *found_) == cache::Verdict::dead) return false;
  cache::ServeDecision decision = cache::decide_serve(*found_, context_.loop.wall(), obeyed());
  return decision.serve != cache::Serve::must_revalidate;
}

std::unique_ptr<FillJob> Exchange::make_job() {
  auto job = std::make_unique<FillJob>();
  job->snapshot = snapshot_;
  job->policy = route_->cache_policy;
  job->stale = found_;
  if (image_ && image_->kind != imaging::RequestKind::original) {
    job->own_origin = make_image_origin(snapshot_, *route_->origins.front(), *image_, accepts_webp_);
    job->origins = {job->own_origin.get()};
    job->request = std::make_unique<StoredRequest>(head_.authority, "/", "", false, http::FieldList());
    return job;
  }
  job->wants_part = wants_part();
  job->origins = route_->origins;
  // Servers see the whole request; an object store is asked for an object, by whoever wants it.
  if (route_->origins.front()->kind() == Origin::Kind::servers) {
    DCHECK(has_origin_fields_ == true);  // answer_cached() has seen to it
    narrow_encodings();
    job->compress = &route_->options->compress;
    job->request = std::make_unique<StoredRequest>(head_.authority, origin_path_, fill_query_.value_or(""),
                                                   fill_query_.has_value(), head_.fields);
    if (const Viewer* asking = viewer()) job->request->set_viewer(*asking);
  } else {
    job->request = std::make_unique<StoredRequest>(head_.authority, origin_path_, object_query_,
                                                   !object_query_.empty(), http::FieldList());
  }
  return job;
}

// What keys do not tell apart must not decide the answer that is kept under one.
void Exchange::narrow_encodings() {
  if (!head_.fields.has(http::FieldId::accept_encoding)) return;
  std::string codings;
  http::append_accepted_codings(head_.fields, codings);
  const auto kept = keep(codings);
  if (codings.empty() || !kept) {
    head_.fields.remove(http::FieldId::accept_encoding);
  } else {
    head_.fields.set(http::FieldId::accept_encoding, *kept);
  }
}

void Exchange::launch(cache::FillWriter writer) {
  std::unique_ptr<FillJob> job = make_job();
  job->writer = std::move(writer);
  if (!trace_) trace_ = std::make_shared<OriginTrace>();
  job->trace = trace_;
  start_fill(context_, std::move(job));
}

void Exchange::start_background_fill() {
  cache::Joined joined = context_.node.fills.join_or_start(key_, scratch_.key, context_.loop.now(),
                                                           found_.get(), cache::Sharing::always);
  if (joined.started()) launch(std::move(joined.writer));
}

// True: that was the answer, or nobody waits for one any more.
net::Task<bool> Exchange::answer_from_disk() {
  cache::VariantLookup on_disk;
  on_disk.lookup.outcome = cache::Lookup::Outcome::must_wait;
  on_disk.vary_miss = status_.forward == cache::Forward::vary_miss;
  auto found = co_await finish_lookup(context_, std::move(on_disk), head_.fields, key_, scratch_.key);
  if (!found) {
    reason_ = "client_gone";
    co_return true;
  }
  if (take_found(std::move(*found))) co_return true;
  const bool only_if_cached = obeyed() && obeyed()->only_if_cached;
  if (may_fill_cache() || only_if_cached || has_fresh_manifest()) co_return false;
  plan_pass();
  co_await pass_through();
  co_return true;
}

net::Task<void> Exchange::answer_cached() {
  if (is_on_disk_) {
    auto answered = co_await answer_from_disk();
    if (answered) co_return;
  }
  if (route_->origins.front()->kind() == Origin::Kind::servers && !prepare_origin_fields()) {
    forget_hit();
    refuse(answer_for_full_head());
    co_return;
  }
  if (found_ && decision_.serve == cache::Serve::stale_while_revalidate) {
    co_await send_while_revalidating();
    co_return;
  }
  if (has_fresh_manifest()) {
    auto answered = co_await send_found_large();
    if (answered) co_return;
  }
  if (obeyed() && obeyed()->only_if_cached) {
    refuse({.status = 504, .reason = "only_if_cached", .detail = "There is no stored answer to this."});
    co_return;
  }
  if (is_passed_by()) {
    plan_ = Plan::pass;
    co_await pass_through();
    co_return;
  }
  co_await answer_by_fill();
}

net::Task<void> Exchange::send_while_revalidating() {
  start_background_fill();
  outcome_ = CacheOutcome::stale;
  status_ = {};
  status_.hit = true;
  status_.ttl = decision_.ttl;
  status_.detail = "stale-while-revalidate";
  co_await send_stale();
}

// Joins the fill under way, or starts one.
net::Task<void> Exchange::answer_by_fill() {
  cache::Joined joined;
  for (int depth = 0; depth < cache::kMaxVaryDepth; ++depth) {
    joined = context_.node.fills.join_or_start(key_, scratch_.key, context_.loop.now(), found_.get());
    if (!joined.hit) break;
    // Something was stored since the lookup: a marker, and our variant has a key of its own; or an answer,
    // which is ours too only while it is fresh (one with no-cache never is: it was validated for others).
    if (try_hit()) co_return;
    if (is_on_disk_) {
      auto on_disk = co_await answer_from_disk();
      if (on_disk) co_return;
    }
    if (!has_fresh_manifest()) continue;
    auto answered = co_await send_found_large();
    if (answered) co_return;
  }
  if (joined.hit) joined = start_alone();
  status_.collapsed = joined.collapsed();
  if (joined.collapsed()) outcome_ = CacheOutcome::collapsed;
  origin_name_ = route_->origins.front()->name();
  auto answered = co_await follow_fill(std::move(joined));
  if (answered) co_return;
  // What that fill brought is not for this request.
  status_.collapsed = false;
  outcome_ = CacheOutcome::miss;
  answered = co_await follow_fill(start_alone());
  if (!answered) refuse(answer_for({Code::unavailable, Blame::internal, Retry::no, 0, "fill: refused"}));
}

// A fill of this request's own, which nobody can join.
cache::Joined Exchange::start_alone() {
  return context_.node.fills.start_alone(key_, scratch_.key, context_.loop.now());
}

// False: the answer of this fill is not for this request; it must be fetched by itself.
net::Task<bool> Exchange::follow_fill(cache::Joined joined) {
  bool started_here = joined.started();
  FillHub::Follower follower = context_.fills.follow(joined.fill);
  if (started_here) launch(std::move(joined.writer));
  const std::function<void(cache::FillWriter)> second = [this](cache::FillWriter writer) {
    launch(std::move(writer));
  };
  auto head =
      co_await wait_for_head(context_, joined.reader, joined.fill, follower, started_ + kHeadWait, second);
  if (!head) {
    co_await answer_failed_fill(head.error());
    co_return true;
  }
  if (joined.reader.state() == cache::FillState::refused) co_return false;
  cache::ObjectRef object = joined.reader.object();
  if (!started_here && !cache::vary_matches(*object, head_.fields)) {
    status_.forward = cache::Forward::vary_miss;
    co_return false;
  }
  status_.forward_status = joined.fill->freshened() ? 304 : object->status();
  status_.stored = joined.fill->reason() == cache::Reason::none;
  if (!status_.stored) status_.detail = cache::to_string(joined.fill->reason());
  if (status_.stored) status_.ttl = cache::decide_serve(*object, context_.loop.wall()).ttl;
  if (object->flags().is_manifest) {
    joined = {};
    auto sent = co_await send_large(std::move(object));
    co_return sent;
  }
  co_await deliver(joined.reader, follower);
  co_return true;
}

net::Task<void> Exchange::answer_failed_fill(Error error) {
  if (error.code == Code::cancelled && error.blame == Blame::client) {
    reason_ = "client_gone";
    co_return;
  }
  if (may_serve_stale()) {
    outcome_ = CacheOutcome::stale;
    reason_ = to_string(error.code);
    status_.forward_status = 0;
    status_.ttl = cache::decide_serve(*found_, context_.loop.wall()).ttl;
    status_.detail = "stale-if-error";
    co_await send_stale();
    co_return;
  }
  refuse(answer_for(error));
}

// Sends an object that may still be growing.
net::Task<void> Exchange::deliver(cache::Reader& reader, FillHub::Follower& follower) {
  cache::ObjectRef object = reader.object();
  std::string first_bytes;
  if (image_ && image_->kind == imaging::RequestKind::original) {
    auto ready = co_await wait_for_bytes(context_, reader, follower, imaging::kSniffBytes);
    if (!ready) {
      co_await answer_failed_fill(ready.error());
      co_return;
    }
    Slice first;
    if (reader.peek(std::span(&first, 1)) > 0) first_bytes = first.view().substr(0, imaging::kSniffBytes);
  }
  if (!begin_object(*object, first_bytes)) co_return;
  std::uint64_t left = answer_is_part_ ? range_.size() : std::uint64_t{0} - 1;
  std::uint64_t skip = answer_is_part_ ? range_.first : 0;
  while (left > 0) {
    auto ready = co_await wait_for_bytes(context_, reader, follower, 1);
    if (!ready) co_return break_off(to_string(ready.error().code));
    if (!*ready) break;
    Slice slices[kSlicesATurn];
    std::size_t count = reader.peek(slices);
    for (std::size_t i = 0; i < count && left > 0; ++i) {
      std::uint64_t size = slices[i].size();
      reader.advance(size);
      std::uint64_t skipped = std::min(skip, size);
      skip -= skipped;
      std::uint64_t taken = std::min(size - skipped, left);
      left -= taken;
      if (taken > 0) responder_.append(slices[i].sub(skipped, taken));
    }
    // The last bytes of a complete object go out with the connection's own flush.
    if (reader.at_end()) break;
    auto sent = co_await flush_or_abort();
    if (!sent) co_return;
  }
  responder_.end();
}

// A complete object, without waiting.
void Exchange::send_object(const cache::ObjectRef& object) {
  std::string_view first;
  if (image_ && image_->kind == imaging::RequestKind::original && !object->body_chunks().empty()) {
    first = object->body_chunks().front().bytes.view().substr(0, imaging::kSniffBytes);
  }
  if (!begin_object(*object, first)) return;
  append_part(*object);
  responder_.end();
}

void Exchange::append_part(const cache::Object& object) {
  if (!answer_is_part_) {
    for (const cache::Chunk& chunk : object.body_chunks()) responder_.append(chunk.bytes);
    return;
  }
  for (const cache::Chunk& chunk : object.body_chunks()) {
    std::uint64_t end = chunk.offset + chunk.bytes.size();
    if (end <= range_.first || chunk.offset > range_.last) continue;
    std::uint64_t from = std::max(range_.first, chunk.offset);
    std::uint64_t to = std::min(range_.last + 1, end);
    responder_.append(chunk.bytes.sub(from - chunk.offset, to - from));
  }
}

// Chooses between the whole object, a part of it and none (RFC 9110 §13.2.2, §14.2). False: answered.
bool Exchange::select_part(const cache::Object& object, std::optional<std::uint64_t>& length, int& status) {
  std::string& extra = scratch_.extra;
  const Part chosen = choose_part(head_, object);
  if (chosen.kind == Part::Kind::precondition_failed) {
    refuse({.status = 412, .reason = "precondition_failed", .detail = "The precondition does not hold."});
    return false;
  }
  if (chosen.kind == Part::Kind::not_modified) {
    status = 304;
    length.reset();
    return true;
  }
  if (!length) return true;
  if (may_be_parted(object)) extra += "Accept-Ranges: bytes\r\n";
  if (chosen.kind == Part::Kind::whole) return true;
  char text[http::kContentRangeBytes];
  bool part = chosen.kind == Part::Kind::part;
  std::size_t size = part ? http::format_content_range(chosen.range, *length, text)
                          : http::format_unsatisfied_range(*length, text);
  extra.append("Content-Range: ").append(text, size).append("\r\n");
  if (!part) {
    http::FieldList fields;
    edit_fields(fields);
    begin(416, &fields, {}, 0);
    responder_.end();
    return false;
  }
  range_ = chosen.range;
  answer_is_part_ = true;
  status = 206;
  length = range_.size();
  return true;
}

// The head of an answer from an object; `first_bytes` decide the type of an original. False: the answer is
// complete with it.
bool Exchange::begin_object(const cache::Object& object, std::string_view first_bytes) {
  if (object.status() >= 400 && refuse_for_store(object.status(), object.content_length())) return false;
  std::string& extra = scratch_.extra;
  extra += "Age: ";
  append_u64(extra, static_cast<std::uint64_t>(
                        std::max<std::int64_t>(0, cache::current_age(object, context_.loop.wall()).count())));
  extra += "\r\n";
  bool original = image_ && image_->kind == imaging::RequestKind::original;
  bool negotiated = image_ && image_->kind == imaging::RequestKind::photo && !image_->transform.format;
  if (negotiated) extra += "Vary: Accept\r\n";
  if (image_)
    extra += "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'none'; sandbox\r\n";

  int status = object.status();
  auto length = object.content_length();
  object_bytes_ = length.value_or(0);
  if (status == 200 && !select_part(object, length, status)) return false;
  if (!original && !needs_field_edits()) {
    begin(status, nullptr, object.head_wire(), length);
  } else {
    http::FieldList fields;
    cache::read_stored_fields(object.fields(), scratch_.names, fields);
    if (original) {
      auto kind = imaging::sniff(first_bytes, true).value_or(imaging::SourceFormat::unsupported);
      fields.set(http::FieldId::content_type, imaging::content_type(kind));
    }
    edit_fields(fields);
    begin(status, &fields, {}, length);
  }
  if (responder_.wants_body()) return true;
  responder_.end();
  return false;
}

}  // namespace vignette::proxy
