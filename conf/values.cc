#include "conf/values.h"

#include <fmt/core.h>

#include <charconv>
#include <limits>
#include <span>

namespace vignette::conf {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
  bool shown;  // used when formatting
};

constexpr Unit kDurations[] = {{"d", 86'400'000, true},
                               {"h", 3'600'000, true},
                               {"m", 60'000, true},
                               {"s", 1'000, true},
                               {"ms", 1, true}};

constexpr Unit kSizes[] = {{"TiB", 1ULL << 40, true},
                           {"GiB", 1ULL << 30, true},
                           {"MiB", 1ULL << 20, true},
                           {"KiB", 1ULL << 10, true},
                           {"TB", 1'000'000'000'000, false},
                           {"GB", 1'000'000'000, false},
                           {"MB", 1'000'000, false},
                           {"kB", 1'000, false},
                           {"B", 1, true}};

std::optional<std::uint64_t> parse(std::string_view text, std::span<const Unit> units) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view name = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const Unit& unit : units) {
    if (unit.name != name) continue;
    const auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (number > most / unit.factor) return std::nullopt;
    return number * unit.factor;
  }
  return std::nullopt;
}

std::string format(std::uint64_t value, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    const bool whole = value != 0 && value % unit.factor == 0;
    if (unit.shown && (whole || unit.factor == 1)) return fmt::format("{}{}", value / unit.factor, unit.name);
  }
  return {};
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto value = parse(text, kDurations);
  if (!value) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(*value));
}

std::string format_duration(std::chrono::milliseconds duration) {
  if (duration.count() == 0) return "0s";
  return format(static_cast<std::uint64_t>(duration.count()), kDurations);
}

std::optional<std::uint64_t> parse_size(std::string_view text) { return parse(text, kSizes); }

std::string format_size(std::uint64_t bytes) { return format(bytes, kSizes); }

}  // namespace vignette::conf
