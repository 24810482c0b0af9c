#include "http/field_id.h"

#include <array>
#include <cstring>

namespace vignette::http {
namespace {

// In the order of FieldId.
constexpr std::array<std::string_view, kFieldIdCount> kConventional = {
    "",
    "Accept",
    "Accept-Charset",
    "Accept-Encoding",
    "Accept-Language",
    "Accept-Ranges",
    "Access-Control-Allow-Origin",
    "Age",
    "Allow",
    "Alt-Svc",
    "Authorization",
    "Cache-Control",
    "Cache-Status",
    "CDN-Cache-Control",
    "CDN-Loop",
    "CloudFront-Viewer-Country",
    "Connection",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-Location",
    "Content-Range",
    "Content-Security-Policy",
    "Content-Type",
    "Cookie",
    "Date",
    "ETag",
    "Expect",
    "Expires",
    "Forwarded",
    "Host",
    "HTTP2-Settings",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Keep-Alive",
    "Last-Modified",
    "Link",
    "Location",
    "Max-Forwards",
    "Origin",
    "Pragma",
    "Priority",
    "Proxy-Authenticate",
    "Proxy-Authentication-Info",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Range",
    "Referer",
    "Retry-After",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Version",
    "Server",
    "Server-Timing",
    "Set-Cookie",
    "Strict-Transport-Security",
    "Surrogate-Capability",
    "Surrogate-Control",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "User-Agent",
    "Vary",
    "Via",
    "Warning",
    "WWW-Authenticate",
    "X-Accel-Expires",
    "X-Cache",
    "X-Content-Type-Options",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-Frame-Options",
    "X-Real-IP",
    "X-Request-ID",
};
static_assert(!kConventional.back().empty(), "a name for each FieldId");

constexpr std::size_t kLongest = 32;

struct Names {
  std::array<std::array<char, kLongest>, kFieldIdCount> text{};
  std::array<std::uint8_t, kFieldIdCount> size{};
  constexpr std::string_view operator[](std::size_t i) const { return {text[i].data(), size[i]}; }
};

consteval Names lower_all() {
  Names names;
  for (std::size_t i = 0; i < kFieldIdCount; ++i) {
    names.size[i] = static_cast<std::uint8_t>(kConventional[i].size());
    for (std::size_t j = 0; j < kConventional[i].size(); ++j) {
      const char c = kConventional[i][j];
      names.text[i][j] = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    }
  }
  return names;
}
constexpr Names kLower = lower_all();

constexpr std::size_t kSlots = 1024;

constexpr std::uint32_t byte_at(std::string_view name, std::size_t i) {
  return static_cast<unsigned char>(name[i]);
}

// Names have two characters at least.
constexpr std::size_t slot_of(std::string_view name, std::uint32_t seed) {
  const std::size_t n = name.size();
  std::uint32_t h = static_cast<std::uint32_t>(n) | byte_at(name, 0) << 8 | byte_at(name, n - 1) << 16 |
                    byte_at(name, n / 2) << 24;
  h = (h ^ byte_at(name, n - 2) * 0x9E3779B1u) * seed;
  return h >> 22;
}
static_assert(kSlots == 1u << (32 - 22));

struct Table {
  std::uint32_t seed = 0;
  std::array<std::uint8_t, kSlots> ids{};
};

consteval Table find_table() {
  for (std::uint32_t seed = 0x85EBCA6Bu, tries = 0; tries < 400; ++tries, seed += 0x3C6EF372u) {
    std::array<std::uint8_t, kSlots> ids{};
    bool perfect = true;
    for (std::size_t i = 1; i < kFieldIdCount && perfect; ++i) {
      std::uint8_t& slot = ids[slot_of(kLower[i], seed)];
      perfect = slot == 0;
      slot = static_cast<std::uint8_t>(i);
    }
    if (perfect) return {seed, ids};
  }
  return {};
}
constexpr Table kTable = find_table();
static_assert(kTable.seed != 0, "no multiplier separates the names: widen the table");

}  // namespace

FieldId field_id(std::string_view name) {
  if (name.size() < 2 || name.size() > kLongest) return FieldId::other;
  const std::size_t candidate = kTable.ids[slot_of(name, kTable.seed)];
  if (kLower.size[candidate] != name.size()) return FieldId::other;
  if (std::memcmp(kLower.text[candidate].data(), name.data(), name.size()) != 0) return FieldId::other;
  return static_cast<FieldId>(candidate);
}

std::string_view lower_case_name(FieldId id) { return kLower[static_cast<std::size_t>(id)]; }

std::string_view conventional_name(FieldId id) { return kConventional[static_cast<std::size_t>(id)]; }

}  // namespace vignette::http
