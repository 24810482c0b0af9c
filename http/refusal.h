// Why a message was refused. The name reaches the log, a metric label and Cache-Status.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vignette::http {

enum class Refusal : std::uint8_t {
  none,
  // line ends and characters
  bare_lf,
  bare_cr,
  control_character,
  // start line
  too_many_empty_lines,
  bad_request_line,
  bad_method,
  method_too_long,
  bad_target,
  bad_percent_encoding,
  bad_version,
  unsupported_version,
  method_not_allowed,
  request_line_too_long,
  bad_status_line,
  bad_status_code,
  // fields
  obs_fold,
  space_before_colon,
  bad_field_name,
  bad_field_line,
  too_many_fields,
  header_too_large,
  // host
  missing_host,
  several_hosts,
  bad_host,
  host_mismatch,
  // framing
  bad_content_length,
  several_content_lengths,
  bad_transfer_encoding,
  several_transfer_encodings,
  unknown_transfer_coding,
  transfer_encoding_in_1_0,
  length_and_chunked,
  // semantics
  bad_connection,
  connection_names_protected_field,
  unknown_expectation,
  unexpected_upgrade,
  too_many_interim_responses,
  // chunked body
  bad_chunk_size,
  bad_chunk_extension,
  chunk_extension_too_long,
  bad_chunk_end,
  bad_trailer,
  trailers_too_large,
};

inline constexpr std::size_t kRefusalCount = static_cast<std::size_t>(Refusal::trailers_too_large) + 1;

std::string_view to_string(Refusal refusal);  // "bad_request_line"; static
// What a request that is refused is answered with: 400, 405, 414, 417, 431, 501 or 505.
int status_for(Refusal refusal);

}  // namespace vignette::http
