// Cache-Control and its targeted relatives (RFC 9111 §5.2, RFC 5861, RFC 8246, RFC 9213), read tolerantly:
// unknown directives are skipped, arguments may be tokens or quoted strings, the first of several equal
// directives counts, too large numbers become 2^31, and a lifetime that is not a number counts as 0 (stale).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "http/field_list.h"

namespace vignette::http {

inline constexpr std::chrono::seconds kMaxDeltaSeconds{std::int64_t{1} << 31};

// delta-seconds (RFC 9111 §1.2.2): digits only; capped at 2^31. nullopt when it is not a number.
std::optional<std::chrono::seconds> parse_delta_seconds(std::string_view text);

struct ResponseDirectives {
  bool present = false;  // some line of the field was there
  bool no_store = false;
  bool no_cache = false;  // the form without field names
  bool private_ = false;  // the form without field names
  bool public_ = false;
  bool must_revalidate = false;
  bool proxy_revalidate = false;
  bool must_understand = false;
  bool no_transform = false;
  bool immutable = false;
  bool no_store_remote = false;  // Surrogate-Control
  std::optional<std::chrono::seconds> max_age;
  std::optional<std::chrono::seconds> s_maxage;
  std::optional<std::chrono::seconds> stale_while_revalidate;
  std::optional<std::chrono::seconds> stale_if_error;
  // no-cache="a, b" and private="a, b": the text between the quotes, views into the field; "" when absent.
  // Read them with next_element().
  std::string_view no_cache_fields;
  std::string_view private_fields;
};

struct RequestDirectives {
  bool present = false;
  bool no_store = false;
  bool no_cache = false;  // also from Pragma: no-cache when there is no Cache-Control
  bool no_transform = false;
  bool only_if_cached = false;
  bool any_stale = false;  // max-stale without a number
  std::optional<std::chrono::seconds> max_age;
  std::optional<std::chrono::seconds> min_fresh;
  std::optional<std::chrono::seconds> max_stale;
  std::optional<std::chrono::seconds> stale_if_error;
};

// `field` is cache_control, cdn_cache_control or surrogate_control; all its lines are read.
ResponseDirectives response_directives(const FieldList& fields, FieldId field = FieldId::cache_control);
RequestDirectives request_directives(const FieldList& fields);

// One value at a time; a struct may be filled from several lines.
void add_response_directives(std::string_view value, ResponseDirectives& directives);
void add_request_directives(std::string_view value, RequestDirectives& directives);

}  // namespace vignette::http
