#include "cache/disk/erase_walk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "cache/disk/footer.h"
#include "cache/disk/open_segment.h"

namespace vignette::cache {
namespace {

bool all_zero(std::string_view bytes) {
  return bytes.empty() ||
         (bytes.front() == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace

// What counts in a segment; everything else is remains.
struct EraseWalk::Content {
  std::vector<FooterEntry> entries;  // in the order of their offsets
  std::uint32_t needles_limit = 0;   // where the footer begins
};

EraseWalk::EraseWalk(Volume& volume, Names names, Forget forget)
    : volume_(volume), names_(std::move(names)), forget_(std::move(forget)) {}

// The last one waits for the device in any case: what the log has written over by now must not come back.
Result<void> EraseWalk::step() {
  const SegmentPlace place = volume_.place_of(next_++);
  bytes_.resize(place.segment_bytes);
  const Result<std::size_t> count = volume_.file().pread(bytes_, place.file_offset);
  if (!count) return std::unexpected(count.error());
  if (*count != bytes_.size()) return fail(Code::io, Blame::internal, "disk: a segment is cut short");
  const std::uint64_t before = erased_.bytes;
  const Content content = content_of(place);
  std::uint32_t end = kNeedlesBegin;
  for (const FooterEntry& entry : content.entries) {
    if (auto cleared = clear(end, entry.offset, place); !cleared) return cleared;
    end = entry.offset + entry.bytes;
    if (!must_go(entry, place)) continue;
    if (auto filled = fill(entry, place); !filled) return filled;
  }
  if (auto cleared = clear(end, content.needles_limit, place); !cleared) return cleared;
  const bool is_changed = erased_.bytes != before;
  return is_changed || is_done() ? volume_.file().sync_data() : Result<void>();
}

// Generation 0: nothing in it counts. Without a sound footer its needles are searched for.
EraseWalk::Content EraseWalk::content_of(const SegmentPlace& place) const {
  if (place.generation == 0) return {.entries = {}, .needles_limit = place.segment_bytes};
  const OpenSegment* open = volume_.open_.get();
  if (open && open->generation() == place.generation) {
    VCHECK(!open->has_unwritten());
    return {.entries = open->entries(), .needles_limit = place.segment_bytes};
  }
  if (auto footer = read_footer(volume_.file(), place)) {
    const std::size_t bytes = footer->entries.size() * sizeof(FooterEntry) + sizeof(SegmentTrailer);
    return {.entries = std::move(footer->entries),
            .needles_limit = static_cast<std::uint32_t>(place.segment_bytes - bytes)};
  }
  return {.entries = scan_segment(bytes_, place).found.entries, .needles_limit = place.segment_bytes};
}

// Of a damaged needle nobody can tell whose bytes they were.
bool EraseWalk::must_go(const FooterEntry& entry, const SegmentPlace& place) const {
  const auto needle = parse_needle(std::string_view(bytes_).substr(entry.offset, entry.bytes),
                                   {place.segment, entry.offset, place.generation}, volume_.seed());
  if (!needle || needle->padded_bytes() != entry.bytes) return true;
  return needle->kind() == NeedleKind::object && names_(*needle);
}

Result<void> EraseWalk::fill(const FooterEntry& entry, const SegmentPlace& place) {
  const Location location{place.segment, entry.offset, entry.bytes, place.generation};
  const bool is_marker = (entry.flags & kNeedleVaryMarker) != 0;
  if (forget_(entry.key(), location) && !is_marker) ++erased_.objects;
  if (volume_.open_ && volume_.open_->generation() == place.generation) {
    volume_.open_->mark_filler(entry.offset);
  }
  std::string filler(entry.bytes, '\0');
  encode_filler(entry.key(), {place.segment, entry.offset, place.generation}, volume_.seed(), filler);
  ++erased_.copies;
  return write(filler, volume_.file_offset(location));
}

Result<void> EraseWalk::clear(std::uint32_t from, std::uint32_t to, const SegmentPlace& place) {
  const std::string_view remains = std::string_view(bytes_).substr(from, to - from);
  if (all_zero(remains)) return {};
  return write(std::string(remains.size(), '\0'), place.file_offset + from);
}

Result<void> EraseWalk::write(std::string_view bytes, std::uint64_t file_offset) {
  erased_.bytes += bytes.size();
  volume_.counters_.written_bytes.fetch_add(bytes.size(), std::memory_order_relaxed);
  return volume_.file().pwrite(bytes, file_offset);
}

}  // namespace vignette::cache
