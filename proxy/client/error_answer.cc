#include "proxy/client/error_answer.h"

#include <fmt/core.h>

#include "base/html.h"
#include "http/status.h"

namespace vignette::proxy {
namespace {

constexpr int kRetryAfter = 1;

}  // namespace

ErrorAnswer answer_for_head(int status, std::string_view reason) {
  return {.status = status,
          .reason = reason,
          .detail = "The request is not well formed.",
          .retry_after = 0,
          .allow = status == 405 ? kServedMethods : ""};
}

ErrorAnswer answer_for_full_head() {
  return {.status = 431, .reason = "header_too_large", .detail = "The request's header is too large."};
}

ErrorAnswer answer_for(const Error& error) {
  ErrorAnswer answer{
      .status = 502, .reason = to_string(error.code), .detail = {}, .retry_after = 0, .allow = {}};
  switch (error.code) {
    case Code::timeout:
      answer.status = 504;
      answer.detail = "The origin did not answer in time.";
      break;
    case Code::unavailable:
    case Code::exhausted:
    case Code::cancelled:
      answer.status = 503;
      answer.retry_after = kRetryAfter;
      answer.detail = "Nobody can serve this right now.";
      break;
    case Code::internal:
    case Code::io:
      answer.status = 500;
      answer.detail = "Something went wrong on this node.";
      break;
    default:
      answer.detail = "The origin did not give a usable answer.";
      break;
  }
  return answer;
}

ErrorAnswer answer_for_rate(Duration wait) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  return {.status = 429,
          .reason = "rate_limited",
          .detail = "That is more requests than one client may make.",
          .retry_after = static_cast<int>(seconds)};
}

ErrorAnswer answer_for_body(const Error& error) {
  switch (error.code) {
    case Code::timeout:
      return {.status = 408, .reason = "body_timeout", .detail = "The request body stalled."};
    case Code::limit:
      return {.status = 413, .reason = "body_too_large", .detail = "The request body is too large."};
    default:
      return {.status = 400, .reason = "bad_body", .detail = "The request body is not well formed."};
  }
}

ErrorAnswer answer_for_store(int status) {
  switch (status) {
    case 404:
      return {.status = 404, .reason = "not_found", .detail = "There is nothing of this name."};
    case 405:
      return {.status = 405,
              .reason = "method_not_allowed",
              .detail = "Files are read with GET and HEAD.",
              .retry_after = 0,
              .allow = "GET, HEAD"};
    case 413:
      return {.status = 413, .reason = "image_too_large", .detail = "The original is too large."};
    case 415:
      return {
          .status = 415, .reason = "image_unsupported", .detail = "The original is no supported picture."};
    case 422:
      return {.status = 422, .reason = "image_broken", .detail = "The original is damaged."};
    case 500:
      return {.status = 500, .reason = "image_failed", .detail = "The picture could not be made."};
    case 503:
      return {.status = 503,
              .reason = "busy",
              .detail = "Nobody can serve this right now.",
              .retry_after = kRetryAfter};
    default:
      return {.status = status, .reason = "store_refused", .detail = "This cannot be served."};
  }
}

std::string error_page(const ErrorAnswer& answer) {
  return fmt::format(
      "<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>{0} {1}</title></head>\n"
      "<body><h1>{0} {1}</h1><p>{2}</p></body></html>\n",
      answer.status, http::reason_phrase(answer.status), escape_html(answer.detail));
}

}  // namespace vignette::proxy
