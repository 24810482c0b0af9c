#include "proxy/policy/forwarded.h"

#include <charconv>
#include <string>

#include "base/strings.h"
#include "http/hop_by_hop.h"
#include "proxy/policy/client_address.h"

namespace vignette::proxy {
namespace {

using http::FieldId;

bool set_kept(http::FieldList& fields, FieldId id, std::string_view value, Arena& texts) {
  const auto kept = texts.copy(value);
  return kept && fields.set(id, *kept);
}

// All lines of a list field as one, with `last` behind them, which outlives the fields.
bool append_element(http::FieldList& fields, FieldId id, std::string_view last, Arena& texts) {
  if (!fields.has(id)) return fields.add(id, last);
  std::string joined;
  fields.for_each_element(id, [&](std::string_view element) { joined.append(element).append(", "); });
  joined += last;
  return set_kept(fields, id, joined, texts);
}

// `value` outlives the fields.
bool set_once(http::FieldList& fields, FieldId id, std::string_view value) {
  return fields.has(id) || fields.add(id, value);
}

std::string_view our_via(http::Version version) {
  switch (version) {
    case http::Version::http_1_0:
      return "1.0 vignette";
    case http::Version::http_1_1:
      return "1.1 vignette";
    case http::Version::http_2:
      return "2 vignette";
  }
  return "1.1 vignette";
}

// All of X-Forwarded-*: apps take addresses, prefixes and users from names that we do not know of.
void drop_claims(http::FieldList& fields) {
  fields.remove_if([](const http::Field& field) {
    return field.id == FieldId::x_real_ip || field.id == FieldId::forwarded ||
           field.name.starts_with("x-forwarded-");
  });
}

}  // namespace

bool prepare_forwarded(http::RequestHead& head, const ForwardedFacts& facts, Arena& texts) {
  http::FieldList& fields = head.fields;
  http::strip_request_fields(fields);
  if (!facts.trusted) drop_claims(fields);
  char port[8];
  const auto end = std::to_chars(port, port + sizeof port, facts.port);
  const auto port_text = texts.copy({port, static_cast<std::size_t>(end.ptr - port)});
  const auto peer = texts.copy(ip_to_string(facts.peer));
  const auto client = facts.client == facts.peer ? peer : texts.copy(ip_to_string(facts.client));
  return port_text && peer && client && append_element(fields, FieldId::x_forwarded_for, *peer, texts) &&
         set_once(fields, FieldId::x_forwarded_proto, facts.scheme) &&
         set_once(fields, FieldId::x_forwarded_host, facts.authority) &&
         set_once(fields, FieldId::x_forwarded_port, *port_text) && fields.set(FieldId::x_real_ip, *client) &&
         append_element(fields, FieldId::via, our_via(head.version), texts) &&
         append_element(fields, FieldId::cdn_loop, kNodeName, texts);
}

bool is_loop(const http::FieldList& fields) {
  bool found = false;
  fields.for_each_element(FieldId::cdn_loop, [&](std::string_view element) {
    // cdn-info = cdn-id *( OWS ";" OWS parameter )
    if (iequals(trim(split_once(element, ';').before), kNodeName)) found = true;
  });
  return found;
}

}  // namespace vignette::proxy
