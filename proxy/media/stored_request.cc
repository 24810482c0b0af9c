#include "proxy/media/stored_request.h"

#include "base/check.h"

namespace vignette::proxy {

bool is_left_out_of_fills(const http::Field& field) {
  using http::FieldId;
  const FieldId id = field.id;
  return id == FieldId::range || id == FieldId::if_range || id == FieldId::if_match ||
         id == FieldId::if_none_match || id == FieldId::if_modified_since ||
         id == FieldId::if_unmodified_since || id == FieldId::expect;
}

StoredRequest::StoredRequest(std::string_view host, std::string_view path, std::string_view query,
                             bool has_query, const http::FieldList& fields) {
  std::size_t bytes = host.size() + path.size() + query.size();
  for (const http::Field& field : fields) bytes += field.name.size() + field.value.size();
  text_.reserve(bytes);
  head_.method = http::Method::get;
  head_.method_name = "GET";
  head_.host = head_.authority = keep(host);
  head_.path = keep(path);
  head_.query = keep(query);
  head_.has_query = has_query;
  for (const http::Field& field : fields) {
    if (!is_left_out_of_fills(field)) head_.fields.add({field.id, keep(field.name), keep(field.value)});
  }
}

std::string_view StoredRequest::keep(std::string_view bytes) {
  DCHECK(text_.capacity() - text_.size() >= bytes.size());  // growing would move earlier views
  std::size_t at = text_.size();
  text_.append(bytes);
  return std::string_view(text_).substr(at);
}

OriginRequest StoredRequest::request(const http::FieldList& fields) const {
  OriginRequest request;
  request.path = head_.path;
  request.query = head_.query;
  request.has_query = head_.has_query;
  request.host = head_.authority;
  request.fields = &fields;
  request.viewer = viewer_ ? &*viewer_ : nullptr;
  return request;
}

}  // namespace vignette::proxy
