#include "http/url.h"

#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "http/chars.h"

namespace vignette::http {
namespace {

constexpr std::size_t kMaxNameBytes = 253;
constexpr std::size_t kMaxLabelBytes = 63;

bool is_host_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes) return false;
  std::size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
    } else if (!chars::is(c, chars::kHost) || ++label > kMaxLabelBytes) {
      return false;
    }
  }
  return label != 0;
}

// Dotted decimal without leading zeros.
bool is_ipv4(std::string_view text) {
  for (int part = 0; part < 4; ++part) {
    const std::size_t dot = text.find('.');
    if ((dot == text.npos) != (part == 3)) return false;
    const std::string_view number = text.substr(0, dot);
    if (number.size() > 3 || (number.size() > 1 && number[0] == '0')) return false;
    const std::optional<std::uint64_t> value = parse_u64(number);
    if (!value || *value > 255) return false;
    text.remove_prefix(part == 3 ? text.size() : dot + 1);
  }
  return true;
}

// Groups of an IPv6 address on one side of "::"; -1 when malformed. `may_end_in_ipv4` counts as two groups.
int count_groups(std::string_view text, bool may_end_in_ipv4) {
  if (text.empty()) return 0;
  int groups = 0;
  for (bool more = true; more; ++groups) {
    const std::size_t colon = text.find(':');
    const std::string_view group = text.substr(0, colon);
    more = colon != text.npos;
    if (!more && may_end_in_ipv4 && group.find('.') != group.npos) return is_ipv4(group) ? groups + 2 : -1;
    if (group.empty() || group.size() > 4 || !chars::all(group, chars::kHex)) return -1;
    if (more) text.remove_prefix(colon + 1);
  }
  return groups;
}

bool is_ipv6(std::string_view text) {
  const std::size_t gap = text.find("::");
  if (gap == text.npos) return count_groups(text, true) == 8;
  const int before = count_groups(text.substr(0, gap), false);
  const int after = count_groups(text.substr(gap + 2), true);
  return before >= 0 && after >= 0 && before + after <= 7;
}

bool parse_port(std::string_view text, std::uint16_t& port) {
  if (text.empty()) return true;
  if (text.size() > 5 || text[0] == '0') return false;
  const std::optional<std::uint64_t> value = parse_u64(text, 65535);
  if (!value) return false;
  port = static_cast<std::uint16_t>(*value);
  return true;
}

std::string_view remove_trailing_dot(std::string_view name) {
  return name.ends_with('.') ? name.substr(0, name.size() - 1) : name;
}

}  // namespace

std::optional<Authority> parse_authority(std::string_view text) {
  Authority authority;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == text.npos || !is_ipv6(text.substr(1, close - 1))) return std::nullopt;
    authority.host = text.substr(0, close + 1);
    text.remove_prefix(close + 1);
  } else {
    const std::size_t colon = text.find(':');
    authority.host = remove_trailing_dot(text.substr(0, colon));
    if (!is_host_name(authority.host)) return std::nullopt;
    text = colon == text.npos ? std::string_view() : text.substr(colon);
  }
  if (text.empty()) return authority;
  if (text[0] != ':' || !parse_port(text.substr(1), authority.port)) return std::nullopt;
  return authority;
}

std::optional<AbsoluteUrl> parse_absolute_url(std::string_view text) {
  AbsoluteUrl url;
  const std::size_t colon = text.find(':');
  if (colon == text.npos || !text.substr(colon).starts_with("://")) return std::nullopt;
  url.scheme = text.substr(0, colon);
  if (!iequals(url.scheme, "http") && !iequals(url.scheme, "https")) return std::nullopt;
  text.remove_prefix(colon + 3);
  if (text.find('#') != text.npos) return std::nullopt;
  const std::size_t end = std::min(text.find_first_of("/?"), text.size());
  url.authority = text.substr(0, end);
  if (url.authority.empty()) return std::nullopt;
  text.remove_prefix(end);
  const std::size_t mark = text.find('?');
  url.path = text.substr(0, mark);
  url.has_query = mark != text.npos;
  if (url.has_query) url.query = text.substr(mark + 1);
  return url;
}

bool next_parameter(std::string_view& rest, Parameter& parameter) {
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view piece = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (piece.empty()) continue;
    const std::size_t equals = piece.find('=');
    parameter.has_value = equals != piece.npos;
    parameter.name = piece.substr(0, equals);
    parameter.value = parameter.has_value ? piece.substr(equals + 1) : std::string_view();
    return true;
  }
  return false;
}

}  // namespace vignette::http
