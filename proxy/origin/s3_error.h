// What an object store's refusal means: its XML is read for the code, and the code decides what the client
// gets, whether a stale copy may be served instead, and what the operator has to be told.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vignette::proxy {

// Read no more than this of an error's body; the rest says nothing.
inline constexpr std::size_t kMaxS3ErrorBytes = 64 * 1024;

struct S3Error {
  std::string code;     // "NoSuchKey"; at most 64 bytes, letters, digits and "-._~" only
  std::string message;  // at most 512 bytes, control characters replaced by spaces
};

// nullopt when the body is not an <Error> document. Any bytes are safe: no entity but the five of XML is
// expanded, the document type is ignored, depth and size are bounded.
std::optional<S3Error> parse_s3_error(std::string_view body);

enum class S3Failure : std::uint8_t {
  missing,      // no such key
  denied,       // AccessDenied: S3 says so for missing keys too when listing is not allowed
  throttled,    // SlowDown, 429, 503
  credentials,  // unknown key, wrong signature, expired token
  clock_skew,   // our clock and theirs differ by more than they accept
  misplaced,    // wrong bucket, region or endpoint
  invalid,      // 4xx that our request caused
  failed,       // 5xx
};
std::string_view to_string(S3Failure failure);  // static; for metrics and logs

struct S3Verdict {
  S3Failure failure = S3Failure::failed;
  int client_status = 502;
  std::optional<std::chrono::seconds> retry_after;  // to be sent with client_status
  bool retry = false;                               // a second try may succeed
  bool stale_allowed = false;                       // a stale copy is a better answer (stale-if-error)
  std::string operator_message;  // not empty: log it as an error, at most once a minute; never a secret
};

// An answer with a status from 300. Views are used during the call only.
struct S3Refusal {
  int status = 0;
  std::string_view body = {};  // what was read of it; empty after HEAD: the status alone decides
  std::string_view date = {};  // its Date, and ours: both only for the message about clocks
  std::string_view our_date = {};
  std::string_view region = {};  // its x-amz-bucket-region, where the bucket really is
};
S3Verdict judge_s3_error(const S3Refusal& refusal);

}  // namespace vignette::proxy
