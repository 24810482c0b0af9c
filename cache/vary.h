// Vary (RFC 9111 section 4.1) in two levels. Under the primary key lies either the response itself or a
// marker: an object without body that holds the list of field names. The values that the request has for
// them extend the key, and there lies the variant.
//
// Accept-Encoding is normalised to those codings we know that it accepts, best first, Accept-Language to
// lower case without blanks; of other values the lines are joined, and blanks around the commas of lists do
// not count (RFC 9111 section 4.1).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "cache/object.h"
#include "cache/store.h"
#include "http/field_list.h"

namespace vignette::cache {

inline constexpr std::size_t kMaxVaryFields = 16;
inline constexpr std::size_t kMaxVaryBytes = 4 * 1024;  // of values in a key
inline constexpr int kMaxVaryDepth = 3;  // a marker below a marker: the origin changed its list

enum class VaryKind : std::uint8_t { none, list, star, too_long };

// Lower-case names, sorted, once each, separated by commas, appended to `list`.
VaryKind normalise_vary(const http::FieldList& response, std::string& list);

// `name:value` lines (LF between) for a normalised list. False: longer than kMaxVaryBytes.
bool append_vary_values(std::string_view list, const http::FieldList& request, std::string& values);

// Whether a stored response was selected by the same values as this request has. True without Vary.
bool vary_matches(const Object& object, const http::FieldList& request);

// Whether a key string already tells requests apart by these values.
bool key_selects(std::string_view key_string, std::string_view values);

// The marker for a primary key; `sequence` is its fill's.
ObjectRef make_vary_marker(const Key& key, std::string_view key_string, std::string_view list,
                           std::uint64_t sequence = 0);

// Looks the primary key up and follows markers: `key` and `key_string` become those of the variant. Use the
// result's key for join_or_start(). `vary_miss`: there was a marker but not this variant.
struct VariantLookup {
  Lookup lookup;
  bool vary_miss = false;
};
VariantLookup try_lookup_variant(Store& store, const http::FieldList& request, Key& key,
                                 std::string& key_string);

}  // namespace vignette::cache
