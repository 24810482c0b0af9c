#include "http/conditional.h"

namespace vignette::http {
namespace {

// Length of an entity-tag at the start of `text`, 0 when there is none.
std::size_t etag_length(std::string_view text) {
  const std::size_t open = text.starts_with("W/") ? 2 : 0;
  if (open >= text.size() || text[open] != '"') return 0;
  for (std::size_t i = open + 1; i < text.size(); ++i) {
    if (text[i] == '"') return i + 1;
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte <= ' ' || byte == 0x7F) return 0;
  }
  return 0;
}

// One line of a list. next_element() does not fit: a backslash in a tag escapes nothing.
bool line_matches(std::string_view list, const EntityTag& etag, Compare compare) {
  while (!list.empty()) {
    if (list.front() == ',' || list.front() == ' ' || list.front() == '\t') {
      list.remove_prefix(1);
      continue;
    }
    const std::size_t length = etag_length(list);
    if (length == 0) return false;
    const EntityTag listed = *parse_etag(list.substr(0, length));
    if (compare == Compare::strong ? strongly_equal(listed, etag) : weakly_equal(listed, etag)) return true;
    list = trim(list.substr(length));
    if (!list.empty() && list.front() != ',') return false;
  }
  return false;
}

bool matches(const FieldList& request, FieldId field, const Representation& representation, Compare compare) {
  if (request.count(field) == 1 && request.value(field) == "*") return representation.exists;
  return representation.exists && etag_list_matches(request, field, representation.etag, compare);
}

std::optional<HttpDate> date_of(const FieldList& fields, FieldId id) {
  return fields.count(id) == 1 ? parse_date(fields.value(id)) : std::nullopt;
}

// Steps 1 and 2: whether the client's copy is the one it wants to change.
bool lost_update(const FieldList& fields, const Representation& representation) {
  if (fields.has(FieldId::if_match)) {
    return !matches(fields, FieldId::if_match, representation, Compare::strong);
  }
  const std::optional<HttpDate> since = date_of(fields, FieldId::if_unmodified_since);
  return since && representation.last_modified && *representation.last_modified > *since;
}

}  // namespace

std::optional<EntityTag> parse_etag(std::string_view text) {
  if (text.empty() || etag_length(text) != text.size()) return std::nullopt;
  const bool weak = text.front() == 'W';
  return EntityTag{weak, weak ? text.substr(2) : text};
}

bool strongly_equal(const EntityTag& a, const EntityTag& b) {
  return !a.weak && !b.weak && a.opaque == b.opaque;
}

bool weakly_equal(const EntityTag& a, const EntityTag& b) { return a.opaque == b.opaque; }

bool etag_list_matches(const FieldList& request, FieldId field, std::string_view etag, Compare compare) {
  if (request.count(field) == 1 && request.value(field) == "*") return true;
  const std::optional<EntityTag> ours = parse_etag(etag);
  if (!ours) return false;
  for (const Field& line : request) {
    if (line.id == field && line_matches(line.value, *ours, compare)) return true;
  }
  return false;
}

Precondition evaluate_preconditions(const RequestHead& request, const Representation& representation) {
  const FieldList& fields = request.fields;
  if (lost_update(fields, representation)) return Precondition::precondition_failed;
  const bool reads = request.method == Method::get || request.method == Method::head;
  if (fields.has(FieldId::if_none_match)) {
    if (!matches(fields, FieldId::if_none_match, representation, Compare::weak)) return Precondition::proceed;
    return reads ? Precondition::not_modified : Precondition::precondition_failed;
  }
  if (!reads || !representation.exists) return Precondition::proceed;
  const std::optional<HttpDate> since = date_of(fields, FieldId::if_modified_since);
  const std::optional<HttpDate> changed =
      representation.last_modified ? representation.last_modified : representation.date;
  const bool unchanged = since && changed && *changed <= *since;
  return unchanged ? Precondition::not_modified : Precondition::proceed;
}

}  // namespace vignette::http
