// The fields of an HTTP/2 request, one by one as HPACK gives them, into the model that HTTP/1.1 requests have
// too (RFC 9113 section 8.3). One for each stream; reused. Loop-thread only.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/arena.h"
#include "http/message.h"
#include "http/parser.h"
#include "http/refusal.h"

namespace vignette::http {

class H2RequestFields {
 public:
  void begin(const Limits& limits) { limits_ = limits; }

  // Texts are copied: what `head` refers to lives until clear() or destruction. A fault is remembered and the
  // rest of the block may still come: HPACK has to be read to its end. The session has checked characters,
  // the order of pseudo-fields, that each comes once, and that nothing belongs to one connection.
  void add(std::string_view lower_case_name, std::string_view value, RequestHead& head);

  // After the last field. `has_body`: DATA may follow. What is not Refusal::none is answered with
  // status_for(), unless it is_malformed(), which is an error of the stream (section 8.1.1).
  Refusal finish(RequestHead& head, bool has_body);

  // Of the trailers, which are read and dropped. False: there are more than anybody needs.
  bool count_trailer(std::string_view name, std::string_view value);

  void clear();

 private:
  static constexpr std::size_t kTextBytes = 1024 * 1024;  // more than any limits allow
  static constexpr std::size_t kTrailers = 32;
  static constexpr std::size_t kTrailerBytes = 8 * 1024;

  Refusal take(std::string_view name, std::string_view value, RequestHead& head);
  Refusal take_pseudo(std::string_view name, std::string_view value, RequestHead& head);
  Refusal join_cookies(FieldList& fields);
  Refusal resolve(RequestHead& head, bool has_body);

  Limits limits_;
  Arena texts_{kTextBytes};
  std::size_t field_lines_ = 0;
  std::size_t field_bytes_ = 0;
  std::size_t trailer_lines_ = 0;
  std::size_t trailer_bytes_ = 0;
  Refusal fault_ = Refusal::none;
};

// Whether a refusal means a request that RFC 9113 calls malformed; the others are answered.
bool is_malformed(Refusal refusal);

}  // namespace vignette::http
