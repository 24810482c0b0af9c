// Cache-Status (RFC 9211): one list member, "Vignette", with what happened.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace vignette::cache {

enum class Forward : std::uint8_t { none, uri_miss, vary_miss, stale, partial, request, bypass, method };
std::string_view to_string(Forward forward);  // "uri-miss"; "" for none

struct CacheStatus {
  bool hit = false;  // never beside `forward`: what was revalidated is fwd=stale
  Forward forward = Forward::none;
  int forward_status = 0;  // status the origin answered with; 0: none
  std::optional<std::chrono::seconds> ttl = std::nullopt;
  bool stored = false;
  bool collapsed = false;
  std::string_view detail = {};  // a token (to_string(Reason)); anything else is sent as a string
  std::string_view key = {};     // sent as a string where an admin asked for it
};

inline constexpr std::size_t kCacheStatusBytes = 256;

// Writes the value of the field, without its name; view into `out`. Parameters that do not fit are left out
// as a whole.
std::string_view render(const CacheStatus& status, std::span<char> out);

}  // namespace vignette::cache
