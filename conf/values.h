// Durations and sizes as the file writes them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vignette::conf {

// "250ms", "5s", "10m", "24h", "7d": a whole number and one unit, at most about 292 years.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
// With the largest unit that leaves a whole number.
std::string format_duration(std::chrono::milliseconds duration);

// Bytes: "512B", "8KiB", "16MiB", "2GiB", "1TiB"; "16MB" is 16,000,000. Fits 63 bits.
std::optional<std::uint64_t> parse_size(std::string_view text);
std::string format_size(std::uint64_t bytes);

}  // namespace vignette::conf
