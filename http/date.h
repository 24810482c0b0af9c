// Dates of RFC 9110 §5.6.7, always GMT, years 1–9999.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace vignette::http {

using HttpDate = std::chrono::sys_seconds;  // the same type as vignette::WallTime

inline constexpr std::size_t kDateBytes = 29;

// IMF-fixdate, RFC 850 or asctime form; a leap second counts as the second before. `now` places the two-digit
// year of RFC 850: more than 50 years ahead means the past century. nullopt when malformed or impossible.
std::optional<HttpDate> parse_date(std::string_view text, HttpDate now);
std::optional<HttpDate> parse_date(std::string_view text);  // two-digit years: 70–99 are 19xx, others 20xx

// "Sun, 06 Nov 1994 08:49:37 GMT".
void format_date(HttpDate time, std::span<char, kDateBytes> out);
std::string format_date(HttpDate time);

}  // namespace vignette::http
