#include "http/h2/request_fields.h"

#include <array>

#include "base/strings.h"
#include "http/framing.h"

namespace vignette::http {
namespace {

// What the limit of a header's size counts beside name and value, as an HTTP/1.1 line would have it.
constexpr std::size_t kLineOverhead = 4;

}  // namespace

bool is_malformed(Refusal refusal) {
  switch (refusal) {
    case Refusal::none:
    case Refusal::bad_method:
    case Refusal::bad_target:
    case Refusal::bad_percent_encoding:
    case Refusal::method_not_allowed:
    case Refusal::method_too_long:
    case Refusal::request_line_too_long:
    case Refusal::unknown_expectation:
    case Refusal::header_too_large:
    case Refusal::too_many_fields:
      return false;
    default:
      return true;
  }
}

void H2RequestFields::clear() {
  texts_.reset();
  field_lines_ = field_bytes_ = trailer_lines_ = trailer_bytes_ = 0;
  fault_ = Refusal::none;
}

void H2RequestFields::add(std::string_view name, std::string_view value, RequestHead& head) {
  if (fault_ == Refusal::none) fault_ = take(name, value, head);
}

bool H2RequestFields::count_trailer(std::string_view name, std::string_view value) {
  trailer_bytes_ += name.size() + value.size() + kLineOverhead;
  return ++trailer_lines_ <= kTrailers && trailer_bytes_ <= kTrailerBytes;
}

Refusal H2RequestFields::take(std::string_view name, std::string_view value, RequestHead& head) {
  if (name.starts_with(':')) return take_pseudo(name, value, head);
  if (++field_lines_ > limits_.fields) return Refusal::too_many_fields;
  field_bytes_ += name.size() + value.size() + kLineOverhead;
  if (field_bytes_ > limits_.header_bytes) return Refusal::header_too_large;
  if (!is_token(name)) return Refusal::bad_field_name;
  if (!is_field_value(value)) return Refusal::control_character;
  if (!limits_.underscores && name.find('_') != name.npos) return Refusal::none;
  const FieldId id = field_id(name);
  const auto kept_value = texts_.copy(value);
  const auto kept_name = id == FieldId::other ? texts_.copy(name) : lower_case_name(id);
  if (!kept_name || !kept_value) return Refusal::header_too_large;
  return head.fields.add(Field{id, *kept_name, *kept_value}) ? Refusal::none : Refusal::too_many_fields;
}

Refusal H2RequestFields::take_pseudo(std::string_view name, std::string_view value, RequestHead& head) {
  if (value.size() > limits_.request_line_bytes) return Refusal::request_line_too_long;
  const auto kept = texts_.copy(value);
  if (!kept) return Refusal::header_too_large;
  if (name == ":method") return take_method(*kept, head);
  if (name == ":path") {
    head.target = *kept;
  } else if (name == ":scheme") {
    if (!iequals(*kept, "http") && !iequals(*kept, "https")) return Refusal::bad_request_line;
    head.scheme = kept->size() == 4 ? "http" : "https";
  } else if (name == ":authority") {
    head.authority = *kept;
  } else {
    return Refusal::bad_field_name;
  }
  return Refusal::none;
}

// Crumbs are one field again for whoever speaks HTTP/1.1 (RFC 9113 section 8.2.3).
Refusal H2RequestFields::join_cookies(FieldList& fields) {
  if (fields.count(FieldId::cookie) < 2) return Refusal::none;
  std::array<std::string_view, 2 * FieldList::kCapacity> parts;
  std::size_t count = 0;
  for (const Field& field : fields) {
    if (field.id != FieldId::cookie) continue;
    if (count > 0) parts[count++] = "; ";
    parts[count++] = field.value;
  }
  const auto joined = texts_.concat(std::span(parts).first(count));
  if (!joined) return Refusal::header_too_large;
  fields.set(FieldId::cookie, *joined);
  return Refusal::none;
}

Refusal H2RequestFields::finish(RequestHead& head, bool has_body) {
  head.version = Version::http_2;
  if (fault_ == Refusal::none) fault_ = resolve(head, has_body);
  return fault_;
}

// Host says what :authority says, so that one function reads both (RFC 9113 section 8.3.1).
Refusal H2RequestFields::resolve(RequestHead& head, bool has_body) {
  if (head.method == Method::connect) return Refusal::method_not_allowed;
  if (head.method_name.empty() || head.scheme.empty()) return Refusal::bad_request_line;
  if (head.target != "*" && !head.target.starts_with('/')) return Refusal::bad_request_line;
  if (const Refusal refusal = parse_target(head.target, head); refusal != Refusal::none) return refusal;
  const Field* host = head.fields.find(FieldId::host);
  if (head.authority.empty()) {
    if (!host) return Refusal::missing_host;
    head.authority = host->value;
  } else if (!host && !head.fields.add(FieldId::host, head.authority)) {
    return Refusal::too_many_fields;
  }
  if (const Refusal refusal = join_cookies(head.fields); refusal != Refusal::none) return refusal;
  if (has_body)
    head.framing = Framing::chunked;  // a length is not needed; where one is given it replaces this
  if (const Refusal refusal = finish_request(head); refusal != Refusal::none) return refusal;
  return head.has_body() && !has_body ? Refusal::bad_content_length : Refusal::none;
}

}  // namespace vignette::http
