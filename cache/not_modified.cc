// What a 304 makes of a stored head.
#include "base/strings.h"
#include "cache/freshness.h"
#include "cache/stored_fields.h"
#include "http/date.h"

namespace vignette::cache {
namespace {

using http::FieldId;

// What describes the stored bytes stays (RFC 9111 section 3.2).
bool describes_body(FieldId id) {
  return id == FieldId::content_encoding || id == FieldId::content_type || id == FieldId::content_range ||
         id == FieldId::content_length;
}

bool is_replaced(const http::Field& stored, const http::FieldList& update) {
  return !describes_body(stored.id) && update.find(stored.name) != nullptr;
}

}  // namespace

Assessment assess_not_modified(const Object& old, const http::RequestHead& request,
                               const http::ResponseHead& not_modified, const CachePolicy& policy,
                               Exchanged times, AssessmentScratch& scratch) {
  http::FieldList stored;
  std::string names;
  read_stored_fields(old.fields(), names, stored);

  http::ResponseHead merged;
  merged.status = old.status();
  merged.framing = http::Framing::length;
  merged.content_length = old.body().length();
  for (const http::Field& field : stored) {
    if (!is_replaced(field, not_modified.fields)) merged.fields.add(field);
  }
  for (const http::Field& field : not_modified.fields) {
    if (!describes_body(field.id)) merged.fields.add(field);
  }
  Assessment result = assess(request, merged, policy, times, scratch);
  result.head.content_length = merged.content_length;
  return result;
}

}  // namespace vignette::cache
