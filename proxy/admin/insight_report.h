// What the sketches say (cache/insight), as JSON for /v1/top and /v1/whatif and as lines for a person.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "cache/insight/insight.h"

namespace vignette::proxy {

inline constexpr std::size_t kDefaultTop = 20;
inline constexpr std::size_t kMaxTop = 200;

// `query`: by=hits|misses|bytes (default hits) and limit=1…kMaxTop. nullopt: it says something else.
// Thread-safe.
std::optional<std::string> top_json(cache::Insight& insight, std::string_view query, TimePoint now);
// `memory_bytes`: what factor 1 stands for. Thread-safe.
std::string what_if_json(cache::Insight& insight, std::uint64_t memory_bytes);

// Those documents in lines; the text itself when it is not what it should be.
std::string top_summary(const std::string& json);
std::string what_if_summary(const std::string& json);

}  // namespace vignette::proxy
