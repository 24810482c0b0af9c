// Entity tags and conditional requests (RFC 9110 §8.8.3, §13).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "http/date.h"
#include "http/message.h"

namespace vignette::http {

struct EntityTag {
  bool weak = false;
  std::string_view opaque;  // with its quotes; a view into the text
};
std::optional<EntityTag> parse_etag(std::string_view text);
bool strongly_equal(const EntityTag& a, const EntityTag& b);
bool weakly_equal(const EntityTag& a, const EntityTag& b);

// Whether the list (all lines of If-Match or If-None-Match) has "*" or a tag equal to `etag`. A malformed
// list matches nothing behind the fault.
enum class Compare : std::uint8_t { strong, weak };
bool etag_list_matches(const FieldList& request, FieldId field, std::string_view etag, Compare compare);

// What is known of the selected representation. `exists` is false when there is none (If-Match: * fails).
struct Representation {
  std::string_view etag;  // the field's value, "" when there is none
  std::optional<HttpDate> last_modified;
  bool exists = true;
  // When a stored response without Last-Modified was made or came: what If-Modified-Since is held against
  // then (RFC 9111 §4.3.2).
  std::optional<HttpDate> date = std::nullopt;
};

enum class Precondition : std::uint8_t {
  proceed,
  not_modified,         // 304
  precondition_failed,  // 412
};

// The order of RFC 9110 §13.2.2 (If-Range belongs to range.h). Dates that do not parse are ignored, and so
// are If-Modified-Since on methods other than GET and HEAD or beside If-None-Match.
Precondition evaluate_preconditions(const RequestHead& request, const Representation& representation);

}  // namespace vignette::http
