// What becomes of a request that the store refuses, and what the operator is told.
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "http/date.h"
#include "proxy/origin/s3_origin.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

using http::FieldId;

// A store that asks for a longer pause than this is not asked again for the same request.
constexpr std::chrono::seconds kShortPause{1};

// What came of it up to the deadline or the limit: half an error is as good as none, then the status decides.
net::Task<std::string> read_error(BodySource* body, TimePoint deadline) {
  std::string text;
  while (body && text.size() <= kMaxS3ErrorBytes) {
    auto piece = co_await body->next(deadline);
    if (!piece) break;
    text += piece->bytes.view();
    if (piece->last) break;
  }
  co_return text;
}

Error error_for(S3Failure failure) {
  switch (failure) {
    case S3Failure::throttled:
      return {Code::unavailable, Blame::origin, Retry::yes, 0, "s3: throttled"};
    case S3Failure::credentials:
      return {Code::denied, Blame::origin, Retry::no, 0, "s3: credentials"};
    case S3Failure::clock_skew:
      return {Code::denied, Blame::origin, Retry::no, 0, "s3: clock skew"};
    case S3Failure::misplaced:
      return {Code::denied, Blame::origin, Retry::no, 0, "s3: no such bucket here"};
    case S3Failure::invalid:
      return {Code::unsupported, Blame::origin, Retry::no, 0, "s3: request refused"};
    case S3Failure::missing:
    case S3Failure::denied:
    case S3Failure::failed:
      break;
  }
  return {Code::reset, Blame::origin, Retry::yes, 0, "s3: the store failed"};
}

// RFC 9110 §10.2.3: seconds or a date.
std::optional<std::chrono::seconds> retry_after(const http::FieldList& fields, std::optional<WallTime> date) {
  const std::string_view value = fields.value(FieldId::retry_after);
  if (const auto seconds = parse_u64(value, 1'000'000)) return std::chrono::seconds(*seconds);
  const auto until = http::parse_date(value);
  if (!until || !date) return std::nullopt;
  return std::max(*until - *date, std::chrono::seconds(0));
}

}  // namespace

OriginResponse own_s3_answer(int status) {
  OriginResponse response;
  response.head->status = status;
  response.content_length = 0;
  if (status == 405) response.head->fields.add(FieldId::allow, "GET, HEAD");
  return response;
}

net::Task<S3Origin::Refused> S3Origin::read_refusal(WorkerContext& context, OriginResponse& response) {
  const std::string body =
      co_await read_error(response.body.get(), context.loop.now() + timeouts_.first_byte);
  response.body.reset();
  const http::FieldList& fields = response.head->fields;
  const http::Field* region = fields.find("x-amz-bucket-region");
  Refused refused;
  refused.status = response.head->status;
  refused.date = http::parse_date(fields.value(FieldId::date));
  refused.retry_after = retry_after(fields, refused.date);
  refused.verdict = judge_s3_error({.status = response.head->status,
                                    .body = body,
                                    .date = fields.value(FieldId::date),
                                    .our_date = context.http_date(),
                                    .region = region ? region->value : std::string_view()});
  co_return refused;
}

// Whether the request is to be sent once more; waits before it says so. The error: cancelled.
net::Task<Result<bool>> S3Origin::try_again(WorkerContext& context, const Refused& refused, Course& course) {
  const S3Verdict& verdict = refused.verdict;
  if (verdict.failure == S3Failure::clock_skew && !course.clock_corrected) {
    course.clock_corrected = true;
    co_return correct_clock(context, refused);
  }
  if (verdict.failure == S3Failure::credentials && provider_ && !course.keys_renewed) {
    course.keys_renewed = true;
    co_return provider_->distrust(course.keys, context.loop.now());
  }
  const auto asked = refused.retry_after.value_or(std::chrono::seconds(0));
  const bool may = verdict.retry && !course.is_probe && course.retries < S3Backoff::kRetries &&
                   asked <= kShortPause && store_.backoff.take_retry();
  if (!may) co_return false;
  const Duration delay = S3Backoff::retry_delay(course.retries, context.pools.chance());
  ++course.retries;
  store_.retries.add(context.index);
  auto slept = co_await net::sleep_for(std::max<Duration>(delay, asked));
  if (!slept) co_return std::unexpected(slept.error());
  // Others may have found meanwhile that it is of no use.
  co_return store_.backoff.left(context.loop.now()) == Duration::zero();
}

// What the store's refusal is for us.
Result<OriginResponse> S3Origin::give_up(WorkerContext& context, const S3Ask& ask, const Refused& refused,
                                         const Course& course) {
  const TimePoint now = context.loop.now();
  log_verdict(context, refused, ask.path);
  if (refused.verdict.failure == S3Failure::throttled) {
    store_.backoff.throttled(now, refused.retry_after, context.pools.chance());
  } else if (refused.verdict.failure == S3Failure::failed) {
    store_.backoff.failed(now, context.pools.chance());
  } else {
    store_.backoff.succeeded(now);
  }
  if (refused.verdict.client_status == 404) {
    endpoint_.state->succeeded();
    OriginResponse answer = own_s3_answer(404);
    answer.trace = course.trace;
    return answer;
  }
  endpoint_.state->count_failure(context.index);
  return std::unexpected(error_for(refused.verdict.failure));
}

bool S3Origin::correct_clock(WorkerContext& context, const Refused& refused) {
  if (!refused.date) return false;
  const auto skew = store_.clock.correct(context.loop.wall(), *refused.date);
  if (!skew) return false;
  if (auto more = skewed_.admit()) {
    context.node.log.error(
        "origin {}: S3 refuses our signatures because this host's clock is {}; signing with the store's time "
        "until they agree again. Set this host's clock (NTP) ({} more since the last line)",
        name(), describe_skew(*skew), *more);
  }
  return true;
}

void S3Origin::watch_clock(WorkerContext& context, const http::FieldList& fields) {
  const auto theirs = http::parse_date(fields.value(FieldId::date));
  if (!theirs) return;
  switch (store_.clock.observe(context.loop.wall(), *theirs)) {
    case S3Clock::Finding::fine:
      break;
    case S3Clock::Finding::right:
      context.node.log.info("origin {}: this host's clock agrees with the store's again", name());
      break;
    case S3Clock::Finding::far:
      if (auto more = skewed_.admit()) {
        context.node.log.warn(
            "origin {}: this host's clock is {}; from 15m on S3 refuses our signatures ({} more since the "
            "last "
            "line)",
            name(), describe_skew(*theirs - context.loop.wall()), *more);
      }
      break;
  }
}

void S3Origin::log_verdict(WorkerContext& context, const Refused& refused, std::string_view path) {
  Logger& log = context.node.log;
  const S3Verdict& verdict = refused.verdict;
  const std::string& host = writer_.target().host;
  const std::string encoded = canonical_path(path);
  if (!verdict.operator_message.empty()) {
    if (auto more = misconfigured_.admit()) {
      log.error("origin {}: {} (asked {}{}; {} more since the last line)", name(), verdict.operator_message,
                host, encoded, *more);
    }
  } else if (verdict.failure == S3Failure::denied) {
    if (auto more = denied_.admit()) {
      log.warn(
          "origin {}: {} denies access to {}; clients get 404. Without the right to list the bucket that is "
          "how it says \"not there\"; otherwise these keys lack s3:GetObject ({} more since the last line)",
          name(), host, encoded, *more);
    }
  } else if (verdict.failure != S3Failure::missing) {
    if (auto more = failed_.admit()) {
      log.warn("origin {}: {} answered {} ({}) to {} ({} more since the last line)", name(), host,
               refused.status, to_string(verdict.failure), encoded, *more);
    }
  }
}

void S3Origin::log_mismatch(WorkerContext& context, const S3Mismatch& mismatch, std::string_view path) {
  store_.mismatches.add(context.index);
  endpoint_.state->count_failure(context.index);
  if (auto more = mismatched_.admit()) {
    context.node.log.error(
        "origin {}: the bytes of {}{} are not what the store says of them ({} {}, got {}); not stored, and "
        "the "
        "answer was broken off ({} more since the last line)",
        name(), writer_.target().host, canonical_path(path), mismatch.what, mismatch.expected, mismatch.got,
        *more);
  }
}

}  // namespace vignette::proxy
