// Content negotiation by quality (RFC 9110 §12.5). Qualities are thousandths: 1000 is q=1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/field_list.h"

namespace vignette::http {

// What Accept says about one media type, each kind of range on its own. Parameters of ranges other than q
// are ignored; malformed elements are skipped. The highest of several equal ranges counts.
struct TypeQuality {
  bool field_present = false;
  std::optional<int> listed;      // image/webp
  std::optional<int> type_range;  // image/*
  std::optional<int> any;         // */*

  // The most specific one (RFC 9110 §12.5.1); 1000 without the field, 0 when nothing matches.
  int effective() const;
  // For formats that clients must name to prove that they can show them.
  bool explicitly_accepted() const { return listed.value_or(0) > 0; }
};
TypeQuality quality(const FieldList& request, std::string_view media_type);

// Quality of a content coding; "*" counts for those not listed; identity is acceptable unless refused.
// Without the field: identity 1000, others 0.
int encoding_quality(const FieldList& request, std::string_view coding);

// Which of `br`, `gzip` and `zstd` the request accepts, in this order with commas between, appended to `out`.
// What Accept-Encoding comes down to: in cache keys, and towards an origin whose answer is kept under such a
// key, as what the key does not tell apart must not decide the answer.
void append_accepted_codings(const FieldList& request, std::string& out);

}  // namespace vignette::http
