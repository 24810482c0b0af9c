#include "conf/context.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "base/strings.h"

namespace vignette::conf {
namespace {

// Blind to case and to - for _.
std::string folded(std::string_view word) {
  std::string text = to_lower(word);
  std::ranges::replace(text, '-', '_');
  return text;
}

}  // namespace

void Context::error(const Position& at, std::string message) {
  diagnostics_.push_back({at.file, at.line, at.column, std::move(message)});
}

std::vector<Diagnostic> Context::take_sorted() {
  std::ranges::sort(diagnostics_, [](const Diagnostic& a, const Diagnostic& b) {
    return std::tie(a.file, a.line, a.column, a.message) < std::tie(b.file, b.line, b.column, b.message);
  });
  return std::move(diagnostics_);
}

std::string Context::resolve(const Position& at, std::string_view path) const {
  if (path.starts_with('/')) return std::string(path);
  const auto folder = folders_.find(at.file);
  if (folder == folders_.end() || folder->second.empty()) return std::string(path);
  return (std::filesystem::path(folder->second) / path).lexically_normal().string();
}

std::string suggestion(std::string_view word, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongest = 64;
  constexpr std::size_t kLeastPrefix = 3;
  if (word.size() > kLongest) return {};
  const std::size_t most = word.size() <= 4 ? 1 : word.size() <= 8 ? 2 : 3;
  std::size_t best = most + 1;
  std::string_view nearest;
  for (const std::string& candidate : candidates) {
    // "warning" for "warn", "mem" for "memory".
    const bool begins = std::min(word.size(), candidate.size()) >= kLeastPrefix &&
                        (word.starts_with(candidate) || candidate.starts_with(word));
    const std::size_t d = begins ? 1 : edit_distance(folded(word), folded(candidate));
    if (d < best) {
      best = d;
      nearest = candidate;
    }
  }
  return nearest.empty() ? std::string() : fmt::format(" (did you mean \"{}\"?)", nearest);
}

std::string quoted_list(const std::vector<std::string>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
    out += fmt::format("\"{}\"", words[i]);
  }
  return out;
}

}  // namespace vignette::conf
