#include "proxy/client/part.h"

#include "http/conditional.h"

namespace vignette::proxy {
namespace {

bool may_take_range(const http::RequestHead& request, const cache::Object& object) {
  return http::if_range_holds(request.fields.value(http::FieldId::if_range), object.etag(),
                              object.last_modified(), object.date().value_or(object.response_time()));
}

}  // namespace

std::optional<http::RangeSpec> asked_range(const http::RequestHead& request) {
  if (request.method != http::Method::get || request.fields.count(http::FieldId::range) != 1) {
    return std::nullopt;
  }
  return http::parse_range_spec(request.fields.value(http::FieldId::range));
}

bool may_be_parted(const cache::Object& object) {
  if (object.etag().starts_with('"')) return true;
  return !object.field("content-encoding");
}

Part choose_part(const http::RequestHead& request, const cache::Object& object) {
  switch (http::evaluate_preconditions(request, {.etag = object.etag(),
                                                 .last_modified = object.last_modified(),
                                                 .exists = true,
                                                 .date = object.date().value_or(object.response_time())})) {
    case http::Precondition::precondition_failed:
      return {Part::Kind::precondition_failed, {}};
    case http::Precondition::not_modified:
      return {Part::Kind::not_modified, {}};
    case http::Precondition::proceed:
      break;
  }
  const auto length = object.content_length();
  const auto spec = asked_range(request);
  if (!length || !spec || !may_be_parted(object) || !may_take_range(request, object)) return {};
  const http::RangeAnswer answer = http::resolve(*spec, *length);
  switch (answer.kind) {
    case http::RangeAnswer::Kind::part:
      return {Part::Kind::part, answer.range};
    case http::RangeAnswer::Kind::unsatisfiable:
      return {Part::Kind::unsatisfiable, {}};
    case http::RangeAnswer::Kind::whole:
      break;
  }
  return {};
}

}  // namespace vignette::proxy
