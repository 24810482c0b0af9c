// What a 304 makes of a stored head.
#include <algorithm>
#include <iterator>

#include "base/strings.h"
#include "cache/freshness.h"
#include "cache/stored_fields.h"
#include "http/date.h"

namespace vignette::cache {
namespace {

using http::FieldId;

// What describes the stored bytes stays as they do: Content-Length by RFC 9111 section 3.2, the others since
// nothing that a 304 says can change bytes. The entity tag is the one that the origin has just confirmed.
bool describes_body(const http::Field& field) {
  static constexpr std::string_view kDigests[] = {"content-md5", "content-digest", "repr-digest", "digest"};
  return field.id == FieldId::content_encoding || field.id == FieldId::content_range ||
         field.id == FieldId::content_length || field.id == FieldId::etag ||
         std::ranges::find(kDigests, field.name) != std::end(kDigests);
}

// Its Date is that of the 304, or when this came.
bool is_replaced(const http::Field& stored, const http::FieldList& update) {
  if (stored.id == FieldId::date) return true;
  return !describes_body(stored) && update.find(stored.name) != nullptr;
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
    const bool is_first_tag = field.id == FieldId::etag && !stored.has(FieldId::etag);
    if (!describes_body(field) || is_first_tag) merged.fields.add(field);
  }
  Assessment result = assess(request, merged, policy, times, scratch);
  result.head.content_length = merged.content_length;
  return result;
}

}  // namespace vignette::cache
