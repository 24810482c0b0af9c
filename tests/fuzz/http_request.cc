// A request head: pieces give the same as the whole, an accepted one is clean, and what is written from the
// model parses to the same model.
#include "http_fuzz.h"

#include <algorithm>

#include "http/hop_by_hop.h"
#include "http/url.h"

using namespace vignette::http;

namespace {

void check_same_model(const RequestHead& a, const RequestHead& b) {
  VCHECK(a.method == b.method && a.method_name == b.method_name);
  VCHECK(a.version == b.version && a.framing == b.framing && a.content_length == b.content_length);
  VCHECK(a.authority == b.authority && a.host == b.host && a.port == b.port);
  VCHECK(a.path == b.path && a.query == b.query && a.has_query == b.has_query);
  VCHECK(a.keep_alive == b.keep_alive && a.expect_continue == b.expect_continue);
  VCHECK(a.upgrade_websocket == b.upgrade_websocket);
  fuzz::check_same_fields(a.fields, b.fields);
}

void check_model(const RequestHead& head) {
  fuzz::check_fields_are_clean(head.fields);
  VCHECK(head.method != Method::connect);
  VCHECK(head.path == "*" || head.path.starts_with('/'));
  VCHECK(vignette::percent_decode(head.path) && vignette::percent_decode(head.query));
  VCHECK(head.version == Version::http_1_0 || !head.host.empty());
  VCHECK(head.authority.empty() || parse_authority(head.authority).has_value());
  VCHECK(head.fields.count(FieldId::host) <= 1);
  const bool chunked = head.fields.has(FieldId::transfer_encoding);
  VCHECK(!chunked || !head.fields.has(FieldId::content_length));
  VCHECK(chunked == (head.framing == Framing::chunked));
  VCHECK((head.framing == Framing::length) == (head.content_length != 0));
}

void check_round_trip(RequestHead& head) {
  // An absolute target without Host, legal in HTTP/1.0: the authority moves to Host.
  if (!head.authority.empty() && !head.fields.has(FieldId::host))
    head.fields.add(FieldId::host, head.authority);
  std::string text;
  HeadWriter writer(text, HeadWriter::Names::conventional);
  writer.request_line(head.method_name, head.path, head.has_query, head.query, head.version);
  for (const Field& field : head.fields) writer.add(field);
  VCHECK(writer.end().has_value());
  const auto again = std::make_unique<RequestHead>();
  const Parsed parsed = RequestParser().parse(text, *again);
  // Conventional casing and ": " may take a head that barely fitted past a limit.
  if (parsed.status == 414 || parsed.status == 431) return;
  VCHECK(parsed.done() && parsed.consumed == text.size());
  check_same_model(head, *again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::string buffer = text;
  const auto head = std::make_unique<RequestHead>();
  const Parsed whole = RequestParser().parse(buffer, *head);
  const auto other = std::make_unique<RequestHead>();
  std::unique_ptr<char[]> memory;
  RequestParser parser;
  const Parsed pieces = fuzz::parse_in_pieces(parser, text, *other, memory);
  fuzz::check_same_verdict(whole, pieces);
  if (!whole.done()) return 0;
  VCHECK(buffer.substr(whole.consumed) == text.substr(whole.consumed));
  check_same_model(*head, *other);
  check_model(*head);
  check_round_trip(*head);
  strip_request_fields(head->fields);
  for (const Field& field : head->fields) VCHECK(!is_hop_by_hop(field.id) && field.id != FieldId::host);
  return 0;
}
