// What follows from an explanation, in words: why the last answer was a miss, what gave a lifetime, and what
// the next answer will be. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proxy/admin/explain.h"

namespace vignette::proxy {

std::string_view to_string(Tier tier);

// `cause`: never-seen, vary, hit-for-miss, stale, or a word of cache::Departed; static. `text`: the rest of a
// sentence, as everywhere here.
struct MissReason {
  std::string_view cause;
  std::optional<WallTime> at;
  std::string text;
};
MissReason why_missed(const KeyFacts& facts, WallTime now);

// What gave the object its lifetime, as far as it can still be told.
std::string lifetime_text(const cache::Object& object, const cache::Lifetime& lifetime);

// `answer`: hit, partial, stale, revalidate, join, miss or pass; static.
struct NextAnswer {
  std::string_view answer;
  std::string text;
};
NextAnswer next_answer(const Explanation& explanation);

}  // namespace vignette::proxy
