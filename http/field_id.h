// The header fields that some part of the proxy looks at, as small numbers. A lookup is one hash over five
// bytes of the name, one table read and one comparison; the table is computed by the compiler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vignette::http {

enum class FieldId : std::uint8_t {
  other,  // any name not listed here
  accept,
  accept_charset,
  accept_encoding,
  accept_language,
  accept_ranges,
  access_control_allow_origin,
  age,
  allow,
  alt_svc,
  authorization,
  cache_control,
  cache_status,
  cdn_cache_control,
  cdn_loop,
  cloudfront_viewer_country,
  connection,
  content_disposition,
  content_encoding,
  content_language,
  content_length,
  content_location,
  content_range,
  content_security_policy,
  content_type,
  cookie,
  date,
  etag,
  expect,
  expires,
  forwarded,
  host,
  http2_settings,
  if_match,
  if_modified_since,
  if_none_match,
  if_range,
  if_unmodified_since,
  keep_alive,
  last_modified,
  link,
  location,
  max_forwards,
  origin,
  pragma,
  priority,
  proxy_authenticate,
  proxy_authentication_info,
  proxy_authorization,
  proxy_connection,
  range,
  referer,
  retry_after,
  sec_websocket_accept,
  sec_websocket_extensions,
  sec_websocket_key,
  sec_websocket_protocol,
  sec_websocket_version,
  server,
  server_timing,
  set_cookie,
  strict_transport_security,
  surrogate_capability,
  surrogate_control,
  te,
  trailer,
  transfer_encoding,
  upgrade,
  user_agent,
  vary,
  via,
  warning,
  www_authenticate,
  x_accel_expires,
  x_cache,
  x_content_type_options,
  x_forwarded_for,
  x_forwarded_host,
  x_forwarded_port,
  x_forwarded_proto,
  x_frame_options,
  x_real_ip,
  x_request_id,
};

inline constexpr std::size_t kFieldIdCount = static_cast<std::size_t>(FieldId::x_request_id) + 1;

// `lower_case_name` must already be in lower case. FieldId::other when it is not in the list.
FieldId field_id(std::string_view lower_case_name);

// "content-length"; "" for FieldId::other. Static.
std::string_view lower_case_name(FieldId id);

// "Content-Length", "ETag", "TE": the spelling old origin servers expect; "" for FieldId::other. Static.
std::string_view conventional_name(FieldId id);

}  // namespace vignette::http
