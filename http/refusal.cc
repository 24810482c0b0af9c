#include "http/refusal.h"

#include <array>

namespace vignette::http {
namespace {
// In the order of Refusal.
constexpr std::array<std::string_view, kRefusalCount> kNames = {
    "none",
    "bare_lf",
    "bare_cr",
    "control_character",
    "too_many_empty_lines",
    "bad_request_line",
    "bad_method",
    "method_too_long",
    "bad_target",
    "bad_percent_encoding",
    "bad_version",
    "unsupported_version",
    "method_not_allowed",
    "request_line_too_long",
    "bad_status_line",
    "bad_status_code",
    "obs_fold",
    "space_before_colon",
    "bad_field_name",
    "bad_field_line",
    "too_many_fields",
    "header_too_large",
    "missing_host",
    "several_hosts",
    "bad_host",
    "host_mismatch",
    "bad_content_length",
    "several_content_lengths",
    "bad_transfer_encoding",
    "several_transfer_encodings",
    "unknown_transfer_coding",
    "transfer_encoding_in_1_0",
    "length_and_chunked",
    "bad_connection",
    "connection_names_protected_field",
    "unknown_expectation",
    "unexpected_upgrade",
    "too_many_interim_responses",
    "bad_chunk_size",
    "bad_chunk_extension",
    "chunk_extension_too_long",
    "bad_chunk_end",
    "bad_trailer",
    "trailers_too_large",
};
static_assert(!kNames.back().empty(), "a name for each Refusal");
}  // namespace

std::string_view to_string(Refusal refusal) { return kNames[static_cast<std::size_t>(refusal)]; }

int status_for(Refusal refusal) {
  switch (refusal) {
    case Refusal::method_not_allowed:
      return 405;
    case Refusal::request_line_too_long:
      return 414;
    case Refusal::unknown_expectation:
      return 417;
    case Refusal::header_too_large:
    case Refusal::too_many_fields:
      return 431;
    case Refusal::method_too_long:  // RFC 9112 section 3
    case Refusal::unknown_transfer_coding:
      return 501;
    case Refusal::unsupported_version:
      return 505;
    default:
      return 400;
  }
}

}  // namespace vignette::http
