#include "proxy/origin/s3_error.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <pugixml.hpp>

#include "base/strings.h"
#include "http/date.h"
#include "proxy/origin/s3_clock.h"

namespace vignette::proxy {
namespace {

constexpr std::size_t kMaxCodeBytes = 64;
constexpr std::size_t kMaxMessageBytes = 512;
constexpr std::size_t kMaxXmlElements = 256;  // S3's errors have about ten
constexpr std::chrono::seconds kThrottleRetryAfter{5};

// What the client is told, in one row a failure.
struct Answer {
  S3Failure failure;
  int client_status;
  bool retry;
  bool stale_allowed;
};
constexpr std::array kAnswers = {
    Answer{S3Failure::missing, 404, false, false},   Answer{S3Failure::denied, 404, false, false},
    Answer{S3Failure::throttled, 503, true, true},   Answer{S3Failure::credentials, 502, false, true},
    Answer{S3Failure::clock_skew, 502, false, true}, Answer{S3Failure::misplaced, 502, false, true},
    Answer{S3Failure::invalid, 502, false, true},    Answer{S3Failure::failed, 502, true, true},
};

struct KnownCode {
  std::string_view code;
  S3Failure failure;
};
constexpr std::array kKnownCodes = {
    KnownCode{"NoSuchKey", S3Failure::missing},
    KnownCode{"NoSuchVersion", S3Failure::missing},
    KnownCode{"AccessDenied", S3Failure::denied},
    KnownCode{"AllAccessDisabled", S3Failure::denied},
    KnownCode{"InvalidObjectState", S3Failure::denied},
    KnownCode{"SlowDown", S3Failure::throttled},
    KnownCode{"ServiceUnavailable", S3Failure::throttled},
    KnownCode{"TooManyRequests", S3Failure::throttled},
    KnownCode{"RequestLimitExceeded", S3Failure::throttled},
    KnownCode{"InvalidAccessKeyId", S3Failure::credentials},
    KnownCode{"SignatureDoesNotMatch", S3Failure::credentials},
    KnownCode{"InvalidToken", S3Failure::credentials},
    KnownCode{"ExpiredToken", S3Failure::credentials},
    KnownCode{"TokenRefreshRequired", S3Failure::credentials},
    KnownCode{"AuthorizationHeaderMalformed", S3Failure::misplaced},
    KnownCode{"RequestTimeTooSkewed", S3Failure::clock_skew},
    KnownCode{"RequestExpired", S3Failure::clock_skew},
    KnownCode{"NoSuchBucket", S3Failure::misplaced},
    KnownCode{"PermanentRedirect", S3Failure::misplaced},
    KnownCode{"TemporaryRedirect", S3Failure::misplaced},
    KnownCode{"IllegalLocationConstraintException", S3Failure::misplaced},
    KnownCode{"InternalError", S3Failure::failed},
    KnownCode{"RequestTimeout", S3Failure::failed},
};

std::string printable(std::string_view text) {
  std::string out(text.substr(0, kMaxMessageBytes));
  std::ranges::replace_if(out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return out;
}

S3Failure failure_of_status(int status) {
  if (status == 404 || status == 410) return S3Failure::missing;
  if (status == 401 || status == 403) return S3Failure::denied;
  if (status == 429 || status == 503) return S3Failure::throttled;
  if (status >= 300 && status < 400) return S3Failure::misplaced;
  return status >= 500 ? S3Failure::failed : S3Failure::invalid;
}

S3Failure failure_of(int status, const std::optional<S3Error>& error) {
  if (error) {
    const auto known = std::ranges::find(kKnownCodes, error->code, &KnownCode::code);
    if (known != kKnownCodes.end()) return known->failure;
  }
  return failure_of_status(status);
}

std::string_view or_unknown(std::string_view text) { return text.empty() ? "unknown" : text; }

// "; it is in eu-west-1" when the store says so. What it says is shown only as letters, digits and hyphens.
std::string real_region(std::string_view region) {
  const bool sane = !region.empty() && region.size() <= kMaxCodeBytes &&
                    std::ranges::all_of(region, [](char c) { return kUnreserved.contains(c); });
  return sane ? fmt::format("; it is in {}", region) : std::string();
}

// "; ours is 3m2s ahead of the store's", as far as both can be read.
std::string distance(const S3Refusal& refusal) {
  const auto theirs = http::parse_date(refusal.date);
  const auto ours = http::parse_date(refusal.our_date);
  if (!theirs || !ours) return {};
  return fmt::format("; ours is {}", describe_skew(*theirs - *ours));
}

// What the operator can do about it; empty when it is not the operator's business.
std::string advice(S3Failure failure, const S3Refusal& refusal, const S3Error& error) {
  switch (failure) {
    case S3Failure::clock_skew:
      return fmt::format(
          "S3 refuses our signatures because the clocks differ ({}): it says {}, we say {}{}; set this "
          "host's "
          "clock (NTP)",
          error.code, or_unknown(refusal.date), or_unknown(refusal.our_date), distance(refusal));
    case S3Failure::credentials:
      return fmt::format(
          "S3 refuses our credentials ({}: {}); check the access key, the secret and the session token",
          error.code, error.message);
    case S3Failure::misplaced:
      return fmt::format(
          "S3 does not have the bucket where we ask ({} {}: {}){}; check bucket, region and endpoint",
          refusal.status, error.code, error.message, real_region(refusal.region));
    case S3Failure::invalid:
      return fmt::format("S3 does not accept our request ({} {}: {})", refusal.status, error.code,
                         error.message);
    case S3Failure::missing:
    case S3Failure::denied:
    case S3Failure::throttled:
    case S3Failure::failed:
      return {};
  }
  return {};
}

}  // namespace

std::string_view to_string(S3Failure failure) {
  switch (failure) {
    case S3Failure::missing:
      return "missing";
    case S3Failure::denied:
      return "denied";
    case S3Failure::throttled:
      return "throttled";
    case S3Failure::credentials:
      return "credentials";
    case S3Failure::clock_skew:
      return "clock_skew";
    case S3Failure::misplaced:
      return "misplaced";
    case S3Failure::invalid:
      return "invalid";
    case S3Failure::failed:
      return "failed";
  }
  return "unknown";
}

std::optional<S3Error> parse_s3_error(std::string_view body) {
  if (body.size() > kMaxS3ErrorBytes) return std::nullopt;
  // pugixml's tree is freed by recursion in depth: bound the elements before it sees them.
  if (std::ranges::count(body, '<') > static_cast<std::ptrdiff_t>(2 * kMaxXmlElements)) return std::nullopt;
  pugi::xml_document document;
  if (!document.load_buffer(body.data(), body.size(), pugi::parse_default)) return std::nullopt;
  const pugi::xml_node root = document.child("Error");
  const std::string_view code = root.child_value("Code");
  const bool sane = !code.empty() && code.size() <= kMaxCodeBytes &&
                    std::ranges::all_of(code, [](char c) { return kUnreserved.contains(c); });
  if (!sane) return std::nullopt;
  return S3Error{std::string(code), printable(root.child_value("Message"))};
}

S3Verdict judge_s3_error(const S3Refusal& refusal) {
  const std::optional<S3Error> error = parse_s3_error(refusal.body);
  const S3Failure failure = failure_of(refusal.status, error);
  const auto answer = std::ranges::find(kAnswers, failure, &Answer::failure);
  S3Verdict verdict;
  verdict.failure = failure;
  verdict.client_status = answer->client_status;
  verdict.retry = answer->retry;
  verdict.stale_allowed = answer->stale_allowed;
  if (failure == S3Failure::throttled) verdict.retry_after = kThrottleRetryAfter;
  verdict.operator_message = advice(failure, refusal, error.value_or(S3Error{"no code", ""}));
  return verdict;
}

}  // namespace vignette::proxy
