// Content negotiation by quality (RFC 9110 §12.5). Qualities are thousandths: 1000 is q=1.
#pragma once

#include <cstdint>
#include <optional>
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
// The same for one value.
TypeQuality quality_in(std::string_view accept_value, std::string_view media_type);

// Quality of a content coding; "*" counts for those not listed; identity is acceptable unless refused.
// Without the field: identity 1000, others 0.
int encoding_quality(const FieldList& request, std::string_view coding);

enum class Coding : std::uint8_t { identity, gzip, br, zstd };
std::string_view to_string(Coding coding);
// The best of `zstd`, `br`, `gzip` by quality, in this order when equal; identity when none is wanted more.
// Also the normal form of Accept-Encoding in cache keys.
Coding preferred_coding(const FieldList& request, bool with_zstd = true, bool with_br = true);

}  // namespace vignette::http
