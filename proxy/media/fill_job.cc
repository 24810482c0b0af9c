#include "proxy/media/fill_job.h"

#include <fmt/core.h>

#include "cache/freshness.h"
#include "net/signal.h"
#include "net/worker.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

constexpr Duration kBodyStall = std::chrono::seconds(30);
// A paced fill whose slowest reader takes nothing for this long cuts it.
constexpr Duration kReaderStall = std::chrono::seconds(60);

// One attempt's life on its strand.
class FillRun {
 public:
  FillRun(WorkerContext& context, std::unique_ptr<FillJob> job) : context_(context), job_(std::move(job)) {}

  net::Task<void> run();

 private:
  net::Task<Result<OriginResponse>> fetch();
  void add_validators(http::FieldList& fields);
  cache::HeadVerdict take_head(const OriginResponse& response);
  bool freshen(const OriginResponse& response);
  bool answers_instead_of(int status) const;
  net::Task<void> take_body(BodySource& body);
  net::Task<bool> wait_for_room();
  void fail(const Error& error);
  void commit();

  WorkerContext& context_;
  std::unique_ptr<FillJob> job_;
  WallTime request_time_{};
  char date_[http::kDateBytes];
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

cache::HeadVerdict FillRun::take_head(const OriginResponse& response) {
  cache::AssessmentScratch scratch;
  cache::Exchanged times{request_time_, context_.loop.wall()};
  auto assessed = cache::assess(job_->request->head(), *response.head, job_->policy, times, scratch);
  assessed.head.content_length = response.content_length;
  if (!response.body) assessed.head.content_length = 0;
  return job_->writer.set_head(assessed.head, assessed.not_stored);
}

// The stored response under the head that a 304 makes of it. False: that head may not be stored.
bool FillRun::freshen(const OriginResponse& response) {
  cache::AssessmentScratch scratch;
  auto fresh = cache::assess_not_modified(*job_->stale, job_->request->head(), *response.head, job_->policy,
                                          {request_time_, context_.loop.wall()}, scratch);
  if (fresh.not_stored != cache::Reason::none) return false;
  job_->writer.complete_with(job_->stale->freshened(fresh.head), job_->stale.get());
  return true;
}

net::Task<Result<OriginResponse>> FillRun::fetch() {
  request_time_ = context_.loop.wall();
  http::FieldList fields = job_->request->head().fields;
  add_validators(fields);
  auto response = co_await fetch_with_failover(context_, job_->origins, job_->request->request(fields));
  if (response && job_->trace) *job_->trace = response->trace;
  co_return response;
}

net::Task<bool> FillRun::wait_for_room() {
  if (job_->writer.abandoned() || job_->writer.lost()) co_return false;
  if (job_->writer.room() > 0) co_return true;
  net::Signal room;
  cache::Subscription wish = job_->writer.on_room(context_.loop, [&room] { room.notify_all(); });
  while (job_->writer.room() == 0) {
    if (job_->writer.abandoned() || job_->writer.lost()) co_return false;
    auto woken = co_await room.wait(context_.loop.now() + kReaderStall);
    if (woken) continue;
    if (woken.error().code != Code::timeout || !job_->writer.cut_slowest()) co_return false;
  }
  co_return true;
}

net::Task<void> FillRun::take_body(BodySource& body) {
  for (;;) {
    auto room = co_await wait_for_room();
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

void FillRun::commit() {
  auto stored = job_->writer.commit();
  if (!stored) context_.node.metrics.fills_failed.add(context_.index);
}

net::Task<void> FillRun::run() {
  context_.node.metrics.fills_started.add(context_.index);
  auto response = co_await fetch();
  if (response && response->head->status == 304 && job_->stale) {
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
  if (take_head(*response) == cache::HeadVerdict::lost) co_return;
  if (!response->body) {
    commit();
    co_return;
  }
  co_await take_body(*response->body);
}

net::Task<void> fill_strand(WorkerContext& context, std::unique_ptr<FillJob> job) {
  FillRun run(context, std::move(job));
  co_await run.run();
}

bool may_fail_over(const Error& error) {
  return error.blame == Blame::origin && error.code != Code::cancelled && error.code != Code::limit;
}

}  // namespace

void start_fill(WorkerContext& context, std::unique_ptr<FillJob> job) {
  context.loop.spawn_named("fill", fill_strand, std::ref(context), std::move(job));
}

net::Task<Result<OriginResponse>> fetch_with_failover(WorkerContext& context,
                                                      const std::vector<Origin*>& origins,
                                                      const OriginRequest& request) {
  for (std::size_t i = 0;; ++i) {
    auto response = co_await origins[i]->fetch(context, request);
    if (response || i + 1 == origins.size() || !may_fail_over(response.error())) co_return response;
    // A body is pulled once: what has begun to leave cannot be sent to somebody else.
    if (request.body || !request.idempotent) co_return response;
    context.node.log.debug("origin {}: {} ({}); asking {}", origins[i]->name(),
                           to_string(response.error().code), response.error().where, origins[i + 1]->name());
  }
}

}  // namespace vignette::proxy
