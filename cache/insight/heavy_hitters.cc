#include "cache/insight/heavy_hitters.h"

#include <algorithm>
#include <unordered_map>

namespace vignette::cache {

std::size_t HeavyHitters::lightest() const {
  const auto end = counts_.begin() + static_cast<std::ptrdiff_t>(used_);
  return static_cast<std::size_t>(std::min_element(counts_.begin(), end) - counts_.begin());
}

std::uint64_t HeavyHitters::floor() const { return used_ < kPlaces ? 0 : counts_[lightest()]; }

void HeavyHitters::add(std::uint64_t hash, std::string_view name, std::uint64_t weight) {
  const auto end = hashes_.begin() + static_cast<std::ptrdiff_t>(used_);
  const auto held = std::find(hashes_.begin(), end, hash);
  if (held != end) {
    counts_[static_cast<std::size_t>(held - hashes_.begin())] += weight;
    return;
  }
  const bool is_full = used_ == kPlaces;
  const std::size_t place = is_full ? lightest() : used_++;
  errors_[place] = is_full ? counts_[place] : 0;
  counts_[place] = errors_[place] + weight;
  hashes_[place] = hash;
  const std::string_view kept = name.substr(0, kNameBytes);
  std::ranges::copy(kept, names_[place].begin());
  name_sizes_[place] = static_cast<std::uint8_t>(kept.size());
}

void HeavyHitters::add_to(std::vector<HeavyHitter>& merged, std::uint64_t& merged_floor) const {
  std::unordered_map<std::uint64_t, std::size_t> where;
  for (std::size_t i = 0; i < merged.size(); ++i) where[merged[i].hash] = i;
  const std::uint64_t own_floor = floor();
  for (HeavyHitter& entry : merged) entry.error += own_floor;
  for (std::size_t i = 0; i < used_; ++i) {
    auto found = where.find(hashes_[i]);
    if (found == where.end()) {
      merged.push_back(
          {hashes_[i], std::string(names_[i].data(), name_sizes_[i]), counts_[i], errors_[i] + merged_floor});
      continue;
    }
    HeavyHitter& entry = merged[found->second];
    entry.count += counts_[i];
    entry.error += errors_[i] - own_floor;
  }
  merged_floor += own_floor;
}

void keep_heaviest(std::vector<HeavyHitter>& entries, std::size_t limit) {
  std::ranges::sort(entries, [](const HeavyHitter& a, const HeavyHitter& b) {
    return a.count != b.count ? a.count > b.count : a.name < b.name;
  });
  if (entries.size() > limit) entries.resize(limit);
}

}  // namespace vignette::cache
