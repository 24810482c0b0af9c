// Content negotiation by quality (RFC 9110 §12.5). Qualities are thousandths: 1000 is q=1.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
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

// Codings that we know (RFC 1952, 7932, 8878).
enum class Coding : std::uint8_t { identity, zstd, br, gzip };
std::string_view to_string(Coding coding);
// Of one element of Content-Encoding or Accept-Encoding; x-gzip is gzip. nullopt: another one.
std::optional<Coding> parse_coding(std::string_view name);

// Of zstd, br and gzip those that the request accepts, what it likes best first; of what it likes equally
// zstd goes before br and br before gzip. One that it likes less than an identity that it names is not in it.
// Without the field none is: RFC 9110 §12.5.3 would allow any, but few such clients can read one.
struct AcceptedCodings {
  std::array<Coding, 3> codings{};
  std::size_t count = 0;

  std::span<const Coding> list() const { return {codings.data(), count}; }
  bool has(Coding coding) const;
};
AcceptedCodings accepted_codings(const FieldList& request);

// That list as an Accept-Encoding which comes down to the same again (with qualities only where the order is
// not ours), appended to `out`: for cache keys, and for an origin whose answer is kept under such a key, as
// what the key does not tell apart must not decide the answer.
void append_accepted_codings(const FieldList& request, std::string& out);

}  // namespace vignette::http
