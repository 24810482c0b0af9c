#include "cache/warm/restore.h"

#include <algorithm>
#include <utility>

namespace vignette::cache {
namespace {

Duration time_for(std::uint64_t bytes, std::uint64_t bytes_per_second) {
  const double seconds = static_cast<double>(bytes) / static_cast<double>(bytes_per_second);
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

bool has_room(const StoreStats& memory, std::uint64_t bytes) {
  const std::uint64_t most = memory.budget_bytes / 100 * Restore::kFullPercent;
  return memory.used_bytes < most && bytes <= most - memory.used_bytes;
}

}  // namespace

Restore::Restore(std::vector<HotEntry> list, std::uint64_t bytes_per_second)
    : list_(std::move(list)), bytes_per_second_(std::max<std::uint64_t>(bytes_per_second, 1)) {
  progress_.listed = list_.size();
}

Restore::Step Restore::next(TimePoint now, const StoreStats& memory) {
  if (progress_.is_full || progress_.looked_at == list_.size()) return {};
  const HotEntry& entry = list_[progress_.looked_at];
  if (!has_room(memory, entry.bytes)) {
    progress_.is_full = true;
    return {};
  }
  due_ = std::max(due_, now - kCatchUp);
  return {&entry, std::max(due_, now)};
}

void Restore::note(const Lookup& found, TimePoint now) {
  ++progress_.looked_at;
  if (!found.object || !found.from_disk) return;
  const std::uint64_t bytes = found.object->footprint();
  ++progress_.objects;
  progress_.bytes += bytes;
  due_ = std::max(due_, now - kCatchUp) + time_for(bytes, bytes_per_second_);
}

}  // namespace vignette::cache
