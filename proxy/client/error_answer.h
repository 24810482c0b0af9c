// The one place where an Error, or a refusal, becomes a status, a reason and a page.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace vignette::proxy {

// The methods that may be served somewhere, for Allow.
inline constexpr std::string_view kServedMethods = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH";

// `reason` is a short token for log and metrics (static), `detail` a sentence for the client's eyes.
struct ErrorAnswer {
  int status = 500;
  std::string_view reason = "internal";
  std::string detail = {};
  int retry_after = 0;          // seconds; 0: no Retry-After
  std::string_view allow = {};  // 405: the Allow field
};

// Of a request whose head could not be read, or did not come in time; `reason` is static.
ErrorAnswer answer_for_head(int status, std::string_view reason);
// Of a request whose fields leave no room for those that tell its origin of the client.
ErrorAnswer answer_for_full_head();
// Of a fetch that brought no usable answer: timeouts 504, what is out of room or down 503 with
// Retry-After, everything else an origin did 502.
ErrorAnswer answer_for(const Error& error);
// Of a client over its rate, which may ask again after that.
ErrorAnswer answer_for_rate(Duration wait);
// Of reading the client's request body: 408, 413 or 400.
ErrorAnswer answer_for_body(const Error& error);

// Of a status of 400 and above that a store (a directory, S3) or imaging answered with.
ErrorAnswer answer_for_store(int status);

// A small self-contained HTML page. `detail` is escaped.
std::string error_page(const ErrorAnswer& answer);

}  // namespace vignette::proxy
