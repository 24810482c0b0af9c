#include "proxy/media/fill_job.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/strings.h"
#include "cache/freshness.h"
#include "cache/manifest.h"
#include "cache/purge/purge_book.h"
#include "http/range.h"
#include "net/signal.h"
#include "net/worker.h"
#include "proxy/media/coded_body.h"
#include "proxy/media/large_run.h"
#include "proxy/media/purge_names.h"
#include "proxy/policy/compression.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

constexpr std::string_view kFirstPart = "bytes=0-1048575";
static_assert(cache::kChunkBytes == 1048576);

// One attempt's life on its strand.
class FillRun {
 public:
  FillRun(WorkerContext& context, std::unique_ptr<FillJob> job) : context_(context), job_(std::move(job)) {}

  net::Task<void> run();

 private:
  net::Task<Result<OriginResponse>> fetch();
  net::Task<Result<OriginResponse>> fetch_once();
  void add_validators(http::FieldList& fields);
  cache::Assessment assess(const OriginResponse& response);
  bool take_first_part(OriginResponse& response);
  bool is_large(const OriginResponse& response) const;
  cache::HeadVerdict take_head(const OriginResponse& response);
  bool freshen(const OriginResponse& response);
  bool answers_instead_of(int status) const;
  net::Task<void> take_body(BodySource& body);
  net::Task<void> take_chunks(BodySource& body);
  void keep_vary(OriginResponse& response);
  void fail(const Error& error);
  void commit();

  WorkerContext& context_;
  std::unique_ptr<FillJob> job_;
  WallTime request_time_{};
  char date_[http::kDateBytes];
  std::string tags_;  // of the object
  cache::AssessmentScratch scratch_;
  bool has_first_part_ = false;  // the body is that of the first chunk, the head that of the whole
};

void FillRun::fail(const Error& error) {
  context_.node.metrics.fills_failed.add(context_.index);
  job_->writer.fail(error);
}

void FillRun::add_validators(http::FieldList& fields) {
  const cache::Object* stale = job_->stale.get();
  if (!stale) return;
  if (!stale->etag().empty()) fields.add(http::FieldId::if_none_match, stale->etag());
  if (auto modified = stale->last_modified()) {
    http::format_date(*modified, date_);
    fields.add(http::FieldId::if_modified_since, {date_, sizeof date_});
  }
}

// A server's trouble does not replace what we have, as long as that may be served (RFC 5861 §4).
bool FillRun::answers_instead_of(int status) const {
  if (status < 500 || !job_->stale) return true;
  cache::ServeDecision decision = cache::decide_serve(*job_->stale, context_.loop.wall());
  return decision.serve == cache::Serve::must_revalidate;
}

cache::Assessment FillRun::assess(const OriginResponse& response) {
  const cache::Exchanged times{request_time_, context_.loop.wall()};
  auto assessed = cache::assess(job_->request->head(), *response.head, job_->policy, times, scratch_);
  assessed.head.content_length = response.content_length;
  if (!response.body) assessed.head.content_length = 0;
  return assessed;
}

bool FillRun::is_large(const OriginResponse& response) const {
  return response.head->status == 200 && response.body && keeps_chunks(context_.node.store) &&
         response.content_length.value_or(0) > cache::kChunkBytes &&
         cache::is_strong_etag(response.head->fields.value(http::FieldId::etag)) &&
         (has_first_part_ || serves_ranges(job_->origins, *response.head));
}

cache::HeadVerdict FillRun::take_head(const OriginResponse& response) {
  auto assessed = assess(response);
  assessed.head.flags.is_manifest = is_large(response);
  name_for_purges(*job_, response, assessed.head, tags_);
  return job_->writer.set_head(assessed.head, assessed.not_stored);
}

// The answer to a request for the first chunk, made into the head of the whole. False: it does not do, ask
// again for the whole.
bool FillRun::take_first_part(OriginResponse& response) {
  http::ResponseHead& head = *response.head;
  if (head.status == 416) return false;  // also what a store says of an empty object
  if (head.status != 206) return true;
  const auto told = http::parse_content_range(head.fields.value(http::FieldId::content_range));
  if (!told || !told->range || !told->length || told->range->first != 0) return false;
  if (told->range->size() != std::min(*told->length, cache::kChunkBytes)) return false;
  if (!response.body || response.content_length != told->range->size()) return false;
  head.status = 200;
  head.fields.remove(http::FieldId::content_range);
  response.content_length = told->length;
  if (*told->length <= cache::kChunkBytes) return true;
  has_first_part_ = true;
  return is_large(response) && assess(response).not_stored == cache::Reason::none;
}

// A 304 may say what the server varies by, which must not take away what we vary by.
void FillRun::keep_vary(OriginResponse& response) {
  const bool varied = std::ranges::any_of(split(job_->stale->vary(), ','),
                                          [](std::string_view name) { return name == "accept-encoding"; });
  if (!varied || !response.head->fields.has(http::FieldId::vary)) return;
  if (auto texts = add_vary(response.head->fields)) response.made_bytes = std::move(*texts);
}

// The stored response under the head that a 304 makes of it. False: that head may not be stored.
bool FillRun::freshen(const OriginResponse& response) {
  cache::AssessmentScratch scratch;
  auto fresh = cache::assess_not_modified(*job_->stale, job_->request->head(), *response.head, job_->policy,
                                          {request_time_, context_.loop.wall()}, scratch);
  if (fresh.not_stored != cache::Reason::none) return false;
  name_freshened(*job_, response, fresh.head, tags_);
  job_->writer.complete_with(job_->stale->freshened(fresh.head), job_->stale.get());
  return true;
}

net::Task<Result<OriginResponse>> FillRun::fetch() {
  auto response = co_await fetch_once();
  if (!response || !job_->wants_part || take_first_part(*response)) co_return response;
  job_->wants_part = has_first_part_ = false;
  response = co_await fetch_once();
  co_return response;
}

net::Task<Result<OriginResponse>> FillRun::fetch_once() {
  request_time_ = context_.loop.wall();
  // What was purged is not asked about: a 304 would bring it back.
  if (job_->stale && cache::judge(context_.node.store.purges(), *job_->stale) == cache::Verdict::dead) {
    job_->stale = nullptr;
  }
  http::FieldList fields = job_->request->head().fields;
  add_validators(fields);
  if (job_->wants_part) fields.add(http::FieldId::range, kFirstPart);
  auto response = co_await fetch_with_failover(context_, job_->origins, job_->request->request(fields));
  if (response && job_->trace) *job_->trace = response->trace;
  co_return response;
}

net::Task<void> FillRun::take_body(BodySource& body) {
  for (;;) {
    auto room = co_await wait_for_room(context_, job_->writer);
    if (!room) {
      fail({Code::cancelled, Blame::client, Retry::no, 0, "fill: nobody reads"});
      co_return;
    }
    auto piece = co_await body.next(context_.loop.now() + kBodyStall);
    if (!piece) {
      fail(piece.error());
      co_return;
    }
    if (!piece->bytes.empty()) {
      auto appended = job_->writer.append(std::move(piece->bytes));
      if (!appended) {
        fail(appended.error());
        co_return;
      }
    }
    if (piece->last) break;
  }
  commit();
}

// The fill ends with the manifest, and the body goes on in the chunks' own, which are open before anybody can
// miss them.
net::Task<void> FillRun::take_chunks(BodySource& body) {
  const cache::ObjectRef manifest = job_->writer.fill()->object();
  const std::uint64_t size = *manifest->content_length();
  const bool is_pulled = size > context_.node.store.max_object_bytes();
  ChunkRun run(context_, manifest, 0, has_first_part_ ? 0 : cache::chunk_count(size) - 1,
               is_pulled ? ChunkRun::Pace::pulled : ChunkRun::Pace::free);
  run.open();
  commit();
  job_->writer.reset();
  job_->stale = nullptr;
  auto taken = co_await run.take(body);
  if (!taken && taken.error().blame != Blame::client) context_.node.metrics.fills_failed.add(context_.index);
}

void FillRun::commit() {
  auto stored = job_->writer.commit();
  if (!stored) context_.node.metrics.fills_failed.add(context_.index);
}

net::Task<void> FillRun::run() {
  context_.node.metrics.fills_started.add(context_.index);
  auto response = co_await fetch();
  if (response && response->head->status == 304 && job_->stale) {
    keep_vary(*response);
    if (freshen(*response)) co_return;
    job_->stale = nullptr;  // asked again, without validators
    response = co_await fetch();
  }
  if (!response) {
    fail(response.error());
    co_return;
  }
  if (response->head->status == 304) {
    fail({Code::malformed, Blame::origin, Retry::no, 0, "fill: 304 to a request without validators"});
    co_return;
  }
  if (!answers_instead_of(response->head->status)) {
    fail({Code::unavailable, Blame::origin, Retry::yes, 0, "fill: the origin answered 5xx"});
    co_return;
  }
  // What comes in chunks has strong tags, and is not made anew.
  if (job_->compress && !has_first_part_) {
    code_response(context_, *job_->compress, job_->request->head(), *response);
  }
  if (take_head(*response) == cache::HeadVerdict::lost) co_return;
  if (!response->body) {
    commit();
    co_return;
  }
  if (job_->writer.fill()->object()->flags().is_manifest) {
    co_await take_chunks(*response->body);
  } else if (has_first_part_) {
    fail({Code::exhausted, Blame::internal, Retry::yes, 0, "fill: no room for a large object"});
  } else {
    co_await take_body(*response->body);
  }
}

net::Task<void> fill_strand(WorkerContext& context, std::unique_ptr<FillJob> job) {
  FillRun run(context, std::move(job));
  co_await run.run();
}

bool may_fail_over(const Error& error) {
  return error.blame == Blame::origin && error.code != Code::cancelled && error.code != Code::limit;
}

}  // namespace

net::Task<bool> wait_for_room(WorkerContext& context, cache::FillWriter& writer) {
  if (writer.abandoned() || writer.lost()) co_return false;
  if (writer.room() > 0) co_return true;
  net::Signal room;
  cache::Subscription wish = writer.on_room(context.loop, [&room] { room.notify_all(); });
  while (writer.room() == 0) {
    if (writer.abandoned() || writer.lost()) co_return false;
    auto woken = co_await room.wait(context.loop.now() + context.node.reader_stall);
    if (woken) continue;
    if (woken.error().code != Code::timeout || !writer.cut_slowest()) co_return false;
    context.node.metrics.readers_cut.add(context.index);
  }
  co_return true;
}

void start_fill(WorkerContext& context, std::unique_ptr<FillJob> job) {
  context.loop.spawn_named("fill", fill_strand, std::ref(context), std::move(job));
}

net::Task<Result<OriginResponse>> fetch_with_failover(WorkerContext& context,
                                                      const std::vector<Origin*>& origins,
                                                      const OriginRequest& request) {
  for (std::size_t i = 0;; ++i) {
    auto response = co_await origins[i]->fetch(context, request);
    if (response) response->origin = origins[i];
    if (response || i + 1 == origins.size() || !may_fail_over(response.error())) co_return response;
    // Of a body all is sent to somebody else, or nothing.
    if (!request.idempotent || (request.body && !request.body->rewind())) co_return response;
    context.node.log.debug("origin {}: {} ({}); asking {}", origins[i]->name(),
                           to_string(response.error().code), response.error().where, origins[i + 1]->name());
  }
}

}  // namespace vignette::proxy
