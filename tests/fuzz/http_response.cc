// Answers of an origin, interim ones included. The first byte chooses the request's method.
#include "http_fuzz.h"

#include <algorithm>

#include "http/hop_by_hop.h"
#include "http/status.h"

using namespace vignette::http;

namespace {

void check_model(const ResponseHead& head, Method method) {
  fuzz::check_fields_are_clean(head.fields);
  VCHECK(head.status >= 100 && head.status <= 599);
  if (method == Method::head || never_has_body(head.status)) VCHECK(head.framing == Framing::none);
  if (head.framing == Framing::until_close) VCHECK(!head.keep_alive);
  if (head.fields.has(FieldId::transfer_encoding) && head.fields.has(FieldId::content_length)) {
    VCHECK(!head.keep_alive);
  }
}

void check_round_trip(const ResponseHead& head, Method method) {
  std::string text;
  HeadWriter writer(text);
  writer.status_line(head.status, head.version);
  for (const Field& field : head.fields) writer.add(field);
  VCHECK(writer.end().has_value());
  const auto again = std::make_unique<ResponseHead>();
  const Parsed parsed = ResponseParser(method, true).parse(text, *again);
  if (parsed.refusal == Refusal::header_too_large) return;
  VCHECK(parsed.done() && parsed.consumed == text.size());
  VCHECK(again->status == head.status && again->framing == head.framing);
  VCHECK(again->content_length == head.content_length);
  fuzz::check_same_fields(head.fields, again->fields);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Method method = data[0] % 2 == 0 ? Method::head : Method::get;
  const bool upgrade = data[0] % 4 >= 2;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  std::string buffer = text;
  std::span<char> rest(buffer);
  std::string_view rest_text = text;
  ResponseParser whole(method, upgrade);
  ResponseParser pieces(method, upgrade);
  const auto head = std::make_unique<ResponseHead>();
  const auto other = std::make_unique<ResponseHead>();
  for (int answers = 1;; ++answers) {
    VCHECK(answers <= 10);
    const Parsed parsed = whole.parse(rest, *head);
    std::unique_ptr<char[]> memory;
    fuzz::check_same_verdict(parsed, fuzz::parse_in_pieces(pieces, rest_text, *other, memory));
    if (!parsed.done()) return 0;
    fuzz::check_same_fields(head->fields, other->fields);
    check_model(*head, method);
    check_round_trip(*head, method);
    if (!head->is_interim()) return 0;
    rest = rest.subspan(parsed.consumed);
    rest_text.remove_prefix(parsed.consumed);
  }
}
