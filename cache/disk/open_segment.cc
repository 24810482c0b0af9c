#include "cache/disk/open_segment.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"

namespace vignette::cache {

OpenSegment::OpenSegment(const SegmentPlace& place, BlockRef buffer, WallTime opened_at)
    : place_(place), buffer_(std::move(buffer)) {
  VCHECK(buffer_->capacity() == place_.segment_bytes);
  const SegmentHeader header = make_header(place_, opened_at);
  std::memcpy(buffer_->data(), &header, sizeof(header));
}

bool OpenSegment::fits(std::uint32_t bytes) const {
  const std::uint64_t footer = (entries_.size() + 1) * sizeof(FooterEntry) + sizeof(SegmentTrailer);
  return end() + std::uint64_t{bytes} + footer <= place_.segment_bytes;
}

void OpenSegment::append(const FooterEntry& entry, TimePoint now) {
  VCHECK(entry.offset == end() && fits(entry.bytes));
  if (!has_unwritten()) oldest_unwritten_ = now;
  entries_.push_back(entry);
  end_.store(end() + entry.bytes, std::memory_order_release);
  if (entry.kind == NeedleKind::object) oldest_sequence_ = std::min(oldest_sequence_, entry.sequence);
}

Slice OpenSegment::slice(std::uint32_t offset, std::uint32_t bytes) const {
  const std::uint32_t end = end_.load(std::memory_order_acquire);
  if (offset > end || bytes > end - offset) return {};
  return {buffer_, offset, bytes};
}

void OpenSegment::mark_filler(std::uint32_t offset) {
  for (FooterEntry& entry : entries_) {
    if (entry.offset == offset) entry.kind = NeedleKind::filler;
  }
}

Result<void> OpenSegment::write(DiskFile& file, std::string_view bytes, std::uint32_t offset) {
  written_in_all_ += bytes.size();
  return file.pwrite(bytes, place_.file_offset + offset);
}

Result<void> OpenSegment::flush(DiskFile& file, std::uint32_t writeback_bytes) {
  if (unwritten_bytes() == 0) return {};
  const std::string_view bytes{buffer_->data() + written_, unwritten_bytes()};
  if (auto written = write(file, bytes, written_); !written) return written;
  written_ = end();
  while (written_ - handed_over_ >= writeback_bytes) {
    const std::uint64_t at = place_.file_offset + handed_over_;
    if (auto started = file.start_writeback(at, writeback_bytes); !started) return started;
    if (handed_over_ >= writeback_bytes) {
      if (auto done = file.wait_for_writeback(at - writeback_bytes, writeback_bytes); !done) return done;
    }
    handed_over_ += writeback_bytes;
  }
  return {};
}

Result<void> OpenSegment::seal(DiskFile& file, std::uint32_t writeback_bytes) {
  if (auto flushed = flush(file, writeback_bytes); !flushed) return flushed;
  const std::string footer = make_footer(place_, entries_, end());
  const auto offset = static_cast<std::uint32_t>(place_.segment_bytes - footer.size());
  if (auto written = write(file, footer, offset); !written) return written;
  return file.start_writeback(place_.file_offset + handed_over_, place_.segment_bytes - handed_over_);
}

SegmentHeader make_header(const SegmentPlace& place, WallTime opened_at) {
  SegmentHeader header;
  header.magic = kSegmentMagic;
  header.segment = place.segment;
  header.generation = place.generation;
  header.segment_bytes = place.segment_bytes;
  header.uuid = place.uuid;
  header.opened_at = opened_at.time_since_epoch().count();
  header.crc = crc32c(checked_bytes(header), crc_seed(place.uuid));
  return header;
}

std::string make_footer(const SegmentPlace& place, std::span<const FooterEntry> entries,
                        std::uint32_t needles_end) {
  const std::string_view bytes{reinterpret_cast<const char*>(entries.data()), entries.size_bytes()};
  SegmentTrailer trailer;
  trailer.magic = kTrailerMagic;
  trailer.segment = place.segment;
  trailer.generation = place.generation;
  trailer.entries = static_cast<std::uint32_t>(entries.size());
  trailer.needles_end = needles_end;
  trailer.oldest_sequence = kNoSequence;
  for (const FooterEntry& entry : entries) {
    if (entry.kind != NeedleKind::object) continue;
    trailer.oldest_sequence = std::min(trailer.oldest_sequence, entry.sequence);
  }
  trailer.entries_crc = crc32c(bytes, crc_seed(place.uuid));
  trailer.crc = crc32c(checked_bytes(trailer), crc_seed(place.uuid));
  return std::string(bytes).append(all_bytes(trailer));
}

}  // namespace vignette::cache
