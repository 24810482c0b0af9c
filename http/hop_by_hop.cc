#include "http/hop_by_hop.h"

#include <array>

namespace vignette::http {
namespace {

constexpr std::size_t kMaxNamed = 128;

bool is_protected(FieldId id) {
  switch (id) {
    case FieldId::host:
    case FieldId::content_length:
    case FieldId::transfer_encoding:
    case FieldId::cookie:
    case FieldId::authorization:
    case FieldId::forwarded:
    case FieldId::x_real_ip:
    case FieldId::via:
    case FieldId::cdn_loop:
      return true;
    default:
      return false;
  }
}

// What a response cannot do without: an origin that names it in Connection is mistaken.
bool is_essential(FieldId id) {
  switch (id) {
    case FieldId::age:
    case FieldId::cache_control:
    case FieldId::cdn_cache_control:
    case FieldId::surrogate_control:
    case FieldId::content_encoding:
    case FieldId::content_language:
    case FieldId::content_range:
    case FieldId::content_type:
    case FieldId::date:
    case FieldId::etag:
    case FieldId::expires:
    case FieldId::last_modified:
    case FieldId::location:
    case FieldId::pragma:
    case FieldId::set_cookie:
    case FieldId::vary:
    case FieldId::www_authenticate:
      return true;
    default:
      return is_protected(id);
  }
}

FieldId id_of(std::string_view name) {
  std::array<char, 64> lower;
  if (name.size() > lower.size()) return FieldId::other;
  for (std::size_t i = 0; i < name.size(); ++i) lower[i] = to_lower(name[i]);
  return field_id({lower.data(), name.size()});
}

// The names are views into field values, which outlive the removal of their lines from the list.
class NamedFields {
 public:
  NamedFields(const FieldList& fields, bool spare_essential) {
    fields.for_each_element(FieldId::connection, [&](std::string_view name) {
      if (spare_essential && is_essential(id_of(name))) return;
      if (size_ < names_.size()) names_[size_++] = name;
    });
  }
  bool empty() const { return size_ == 0; }
  bool contains(std::string_view lower_case_name) const {
    for (std::size_t i = 0; i < size_; ++i) {
      if (iequals(names_[i], lower_case_name)) return true;
    }
    return false;
  }

 private:
  std::array<std::string_view, kMaxNamed> names_;
  std::size_t size_ = 0;
};

template <typename Also>
void strip(FieldList& fields, bool spare_essential, Also&& also) {
  if (!fields.has(FieldId::connection)) {
    fields.remove_if([&](const Field& field) { return is_hop_by_hop(field.id) || also(field.id); });
    return;
  }
  const NamedFields named(fields, spare_essential);
  fields.remove_if([&](const Field& field) {
    return is_hop_by_hop(field.id) || also(field.id) || named.contains(field.name);
  });
}

}  // namespace

bool is_hop_by_hop(FieldId id) {
  switch (id) {
    case FieldId::connection:
    case FieldId::http2_settings:
    case FieldId::keep_alive:
    case FieldId::proxy_authenticate:
    case FieldId::proxy_authentication_info:
    case FieldId::proxy_authorization:
    case FieldId::proxy_connection:
    case FieldId::te:
    case FieldId::trailer:
    case FieldId::transfer_encoding:
    case FieldId::upgrade:
      return true;
    default:
      return false;
  }
}

bool is_protected(std::string_view name) {
  return istarts_with(name, "x-forwarded-") || istarts_with(name, "x-client-cert-") ||
         istarts_with(name, "cloudfront-viewer-") || is_protected(id_of(name));
}

Refusal check_connection(const FieldList& request) {
  Refusal refusal = Refusal::none;
  std::size_t names = 0;
  request.for_each_element(FieldId::connection, [&](std::string_view name) {
    if (refusal != Refusal::none) return;
    if (!is_token(name) || ++names > kMaxNamed) {
      refusal = Refusal::bad_connection;
    } else if (is_protected(name)) {
      refusal = Refusal::connection_names_protected_field;
    }
  });
  return refusal;
}

void strip_request_fields(FieldList& fields) {
  strip(fields, false, [](FieldId id) {
    return id == FieldId::host || id == FieldId::content_length || id == FieldId::expect;
  });
}

void strip_response_fields(FieldList& fields) {
  strip(fields, true, [](FieldId id) { return id == FieldId::content_length; });
}

}  // namespace vignette::http
