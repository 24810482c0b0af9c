#include "proxy/client/responder.h"

#include "http/date.h"

namespace vignette::proxy {

std::string_view date_for(const ResponseParts& parts, std::string_view now) {
  const http::Field* made = parts.fields ? parts.fields->find(http::FieldId::date) : nullptr;
  return made && http::parse_date(made->value) ? made->value : now;
}

}  // namespace vignette::proxy
