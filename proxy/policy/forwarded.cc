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

// Whoever may still pass on an OPTIONS; 0 has been answered here (RFC 9110 section 7.6.2).
bool count_hop(http::RequestHead& head, Arena& texts) {
  if (head.method != http::Method::options) return true;
  const auto left = parse_u64(head.fields.value(FieldId::max_forwards));
  if (!left || *left == 0) return true;
  return set_kept(head.fields, FieldId::max_forwards, std::to_string(*left - 1), texts);
}

constexpr std::string_view kCertificateFields = "x-client-cert-";
constexpr std::size_t kMaxSubject = 4096;  // a longer one is left out; the fingerprint names it as well

}  // namespace

bool set_certificate(http::FieldList& fields, const net::PeerCertificate* certificate) {
  fields.remove_if([](const http::Field& field) {
    return field.id == FieldId::other && field.name.starts_with(kCertificateFields);
  });
  if (!certificate) return true;
  if (certificate->fingerprint.empty()) return fields.add("x-client-cert-verify", "NONE");
  const bool names_subject = !certificate->subject.empty() && certificate->subject.size() <= kMaxSubject;
  return fields.add("x-client-cert-verify", "SUCCESS") &&
         fields.add("x-client-cert-fingerprint", certificate->fingerprint) &&
         (!names_subject || fields.add("x-client-cert-subject", certificate->subject));
}

bool prepare_forwarded(http::RequestHead& head, const ForwardedFacts& facts, Arena& texts) {
  http::FieldList& fields = head.fields;
  http::strip_request_fields(fields);
  if (!facts.trusted) drop_claims(fields);
  const bool is_identified = set_certificate(fields, facts.certificate);
  char port[8];
  const auto end = std::to_chars(port, port + sizeof port, facts.port);
  const auto port_text = texts.copy({port, static_cast<std::size_t>(end.ptr - port)});
  const auto peer = texts.copy(ip_to_string(facts.peer));
  const auto client = facts.client == facts.peer ? peer : texts.copy(ip_to_string(facts.client));
  return is_identified && port_text && peer && client && count_hop(head, texts) &&
         append_element(fields, FieldId::x_forwarded_for, *peer, texts) &&
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
