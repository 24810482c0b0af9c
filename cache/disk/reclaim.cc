#include "cache/disk/reclaim.h"

#include <ranges>
#include <utility>

namespace vignette::cache {

Reclaim::Reclaim(Volume& volume, std::uint32_t segment, OpenSegment* into)
    : volume_(volume), segment_(segment), into_(into) {}

void Reclaim::run() {
  for (const FooterEntry& entry : std::views::reverse(entries())) {
    if (entry.kind == NeedleKind::object) judge(entry);
  }
  volume_.counters_.reclaimed.fetch_add(1, std::memory_order_relaxed);
}

// Without a footer they are searched for. What is not found either is dead all the same, unannounced.
std::vector<FooterEntry> Reclaim::entries() {
  const SegmentPlace place = volume_.place_of(segment_);
  Result<Footer> footer = read_footer(volume_.file(), place);
  if (footer) return std::move(footer->entries);
  volume_.counters_.damaged.fetch_add(1, std::memory_order_relaxed);
  std::string bytes(place.segment_bytes, '\0');
  const Result<std::size_t> count = volume_.file().pread(bytes, place.file_offset);
  return scan_segment(std::string_view(bytes).substr(0, count.value_or(0)), place).found.entries;
}

void Reclaim::judge(const FooterEntry& entry) {
  const Location from{segment_, entry.offset, entry.bytes, volume_.table().generation(segment_)};
  if (volume_.policy_ == nullptr) return;
  if (has_room(entry.bytes) && volume_.policy_->wants(entry, from) && keep(entry, from)) return;
  volume_.counters_.dropped.fetch_add(1, std::memory_order_relaxed);
  volume_.policy_->on_dropped(entry, from);
}

// One open segment takes what is kept of several when those cannot be used again: a needle and its entry in
// the footer must still fit behind that.
bool Reclaim::has_room(std::uint32_t bytes) const {
  const std::uint32_t behind = longest_needle(volume_.segment_bytes()) + kNeedleAlignment;
  return into_ != nullptr && kept_bytes_ + bytes <= most_kept_bytes(volume_.segment_bytes()) &&
         into_->fits(bytes + behind);
}

std::expected<NeedleView, NeedleFault> Reclaim::read(const Location& from) {
  buffer_.resize(from.bytes);
  const Result<std::size_t> count = volume_.file().pread(buffer_, volume_.file_offset(from));
  if (!count || *count != buffer_.size()) return std::unexpected(NeedleFault::truncated);
  return parse_needle(buffer_, {from.segment, from.offset, from.generation}, volume_.seed());
}

bool Reclaim::keep(const FooterEntry& entry, const Location& from) {
  const auto needle = read(from);
  if (!needle) {
    volume_.counters_.damaged.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  if (needle->kind() != NeedleKind::object || needle->key() != entry.key()) return false;
  if (needle->padded_bytes() != entry.bytes || !volume_.policy_->confirms(*needle)) return false;
  const Location to{into_->segment(), into_->next_offset(), entry.bytes, into_->generation()};
  copy_needle(*needle, buffer_, {to.segment, to.offset, to.generation}, volume_.seed(),
              into_->room(entry.bytes));
  FooterEntry moved = entry;
  moved.offset = to.offset;
  into_->append(moved, volume_.clock_.now());
  kept_bytes_ += entry.bytes;
  volume_.counters_.kept.fetch_add(1, std::memory_order_relaxed);
  volume_.counters_.kept_bytes.fetch_add(entry.bytes, std::memory_order_relaxed);
  volume_.policy_->on_moved(entry, from, to);
  return true;
}

}  // namespace vignette::cache
