#include "http/range.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/strings.h"
#include "http/conditional.h"

namespace vignette::http {
namespace {

constexpr std::uint64_t kMaxPosition = ~std::uint64_t{0} >> 1;

// Digits only; too large means as far as one can count.
std::optional<std::uint64_t> parse_position(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    value = value > (kMaxPosition - digit) / 10 ? kMaxPosition : value * 10 + digit;
  }
  return value;
}

char* put_number(char* out, std::uint64_t value) { return std::to_chars(out, out + 20, value).ptr; }

}  // namespace

std::optional<RangeSpec> parse_range_spec(std::string_view value) {
  const std::size_t equals = value.find('=');
  if (equals == value.npos || !iequals(value.substr(0, equals), "bytes")) return std::nullopt;
  const std::string_view set = trim(value.substr(equals + 1));
  const std::size_t dash = set.find('-');
  if (dash == set.npos) return std::nullopt;
  RangeSpec spec;
  if (dash != 0) {
    spec.first = parse_position(set.substr(0, dash));
    if (!spec.first) return std::nullopt;
  }
  if (dash + 1 != set.size()) {
    spec.last = parse_position(set.substr(dash + 1));
    if (!spec.last) return std::nullopt;
  }
  if (!spec.first && !spec.last) return std::nullopt;
  if (spec.first && spec.last && *spec.last < *spec.first) return std::nullopt;
  return spec;
}

RangeAnswer resolve(const RangeSpec& spec, std::uint64_t length) {
  constexpr RangeAnswer kUnsatisfiable{RangeAnswer::Kind::unsatisfiable, {}};
  if (!spec.first) {
    const std::uint64_t suffix = std::min(spec.last.value_or(0), length);
    if (suffix == 0) return kUnsatisfiable;
    return {RangeAnswer::Kind::part, {length - suffix, length - 1}};
  }
  if (*spec.first >= length) return kUnsatisfiable;
  return {RangeAnswer::Kind::part, {*spec.first, std::min(spec.last.value_or(length - 1), length - 1)}};
}

RangeAnswer parse_range(std::string_view value, std::uint64_t length) {
  const std::optional<RangeSpec> spec = parse_range_spec(value);
  return spec ? resolve(*spec, length) : RangeAnswer{};
}

std::optional<ContentRange> parse_content_range(std::string_view value) {
  if (value.size() < 6 || !iequals(value.substr(0, 6), "bytes ")) return std::nullopt;
  value.remove_prefix(6);
  const std::size_t slash = value.find('/');
  if (slash == value.npos) return std::nullopt;
  const std::string_view range = value.substr(0, slash);
  const std::string_view length = value.substr(slash + 1);
  ContentRange result;
  if (length != "*") {
    result.length = parse_u64(length, kMaxPosition);
    if (!result.length) return std::nullopt;
  }
  if (range == "*") return result.length ? std::optional(result) : std::nullopt;
  const std::size_t dash = range.find('-');
  if (dash == range.npos) return std::nullopt;
  const auto first = parse_u64(range.substr(0, dash), kMaxPosition);
  const auto last = parse_u64(range.substr(dash + 1), kMaxPosition);
  if (!first || !last || *last < *first || (result.length && *last >= *result.length)) return std::nullopt;
  result.range = ByteRange{*first, *last};
  return result;
}

std::size_t format_content_range(ByteRange range, std::uint64_t length,
                                 std::span<char, kContentRangeBytes> out) {
  char* p = out.data();
  std::memcpy(p, "bytes ", 6);
  p = put_number(p + 6, range.first);
  *p++ = '-';
  p = put_number(p, range.last);
  *p++ = '/';
  return static_cast<std::size_t>(put_number(p, length) - out.data());
}

std::size_t format_unsatisfied_range(std::uint64_t length, std::span<char, kContentRangeBytes> out) {
  std::memcpy(out.data(), "bytes */", 8);
  return static_cast<std::size_t>(put_number(out.data() + 8, length) - out.data());
}

bool if_range_holds(std::string_view if_range, std::string_view etag, std::optional<HttpDate> last_modified,
                    std::optional<HttpDate> date) {
  if (if_range.empty()) return true;
  if (const std::optional<EntityTag> asked = parse_etag(if_range)) {
    const std::optional<EntityTag> ours = parse_etag(etag);
    return ours && strongly_equal(*asked, *ours);
  }
  const std::optional<HttpDate> asked = parse_date(if_range);
  if (!asked || !last_modified || *asked != *last_modified) return false;
  return date && *date - *last_modified >= std::chrono::seconds(1);
}

}  // namespace vignette::http
