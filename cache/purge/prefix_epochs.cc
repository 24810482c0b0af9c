#include "cache/purge/prefix_epochs.h"

#include <algorithm>

namespace vignette::cache {
namespace {

constexpr auto kPrefix = [](const auto& entry) { return std::string_view(entry.prefix); };

}  // namespace

void PrefixEpochs::raise(std::string_view prefix, const PurgeEpoch& epoch) {
  auto at = std::ranges::lower_bound(entries_, prefix, {}, kPrefix);
  if (at == entries_.end() || at->prefix != prefix) {
    at = entries_.insert(at, Entry{std::string(prefix), {}, {}, kNone});
  }
  at->own.raise(epoch);
}

bool PrefixEpochs::contains(std::string_view prefix) const {
  return std::ranges::binary_search(entries_, prefix, {}, kPrefix);
}

// Sorted, the prefixes of an entry are the one before it or among that one's own prefixes.
void PrefixEpochs::link() {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    std::ptrdiff_t parent = static_cast<std::ptrdiff_t>(i) - 1;
    while (parent != kNone && !entry.prefix.starts_with(entries_[static_cast<std::size_t>(parent)].prefix)) {
      parent = entries_[static_cast<std::size_t>(parent)].parent;
    }
    entry.parent = parent;
    entry.effective = entry.own;
    if (parent != kNone) entry.effective.raise(entries_[static_cast<std::size_t>(parent)].effective);
  }
}

PurgeEpoch PrefixEpochs::find(std::string_view text) const {
  auto after = std::ranges::upper_bound(entries_, text, {}, kPrefix);
  std::ptrdiff_t at = after - entries_.begin() - 1;
  while (at != kNone) {
    const Entry& entry = entries_[static_cast<std::size_t>(at)];
    if (text.starts_with(entry.prefix)) return entry.effective;
    at = entry.parent;
  }
  return {};
}

void PrefixEpochs::forget_before(std::uint64_t oldest) {
  std::erase_if(entries_, [oldest](const Entry& entry) { return entry.own.latest() <= oldest; });
  link();
}

void PrefixEpochs::for_each(const std::function<void(std::string_view, const PurgeEpoch&)>& visit) const {
  for (const Entry& entry : entries_) visit(entry.prefix, entry.own);
}

}  // namespace vignette::cache
