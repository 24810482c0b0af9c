// The segment that is being written: a buffer of its whole size in RAM, appended to by the writer, read by
// anyone. Bytes below a location that was handed out never change, so readers need no lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "cache/disk/disk_file.h"
#include "cache/disk/format.h"
#include "cache/disk/segment_table.h"

namespace vignette::cache {

// Writer's thread but for what is marked Thread-safe.
class OpenSegment {
 public:
  // `buffer` has exactly segment_bytes. The header is made at once and written with the first flush.
  OpenSegment(const SegmentPlace& place, BlockRef buffer, WallTime opened_at);

  std::uint32_t segment() const { return place_.segment; }
  std::uint32_t generation() const { return place_.generation; }
  // Bytes of what was appended, sharing the buffer; empty: nothing was appended there. Thread-safe.
  Slice slice(std::uint32_t offset, std::uint32_t bytes) const;

  // Whether a needle of so many (padded) bytes fits beside the footer.
  bool fits(std::uint32_t bytes) const;
  // Where the next needle goes, to be filled completely and then appended.
  std::uint32_t next_offset() const { return end(); }
  std::span<char> room(std::uint32_t bytes) { return {buffer_->data() + end(), bytes}; }
  void append(const FooterEntry& entry, TimePoint now);

  // The needle at `offset` was overwritten in the file.
  void mark_filler(std::uint32_t offset);

  // Whether needles are in RAM only, and how many bytes.
  bool has_unwritten() const { return !entries_.empty() && unwritten_bytes() > 0; }
  std::uint32_t unwritten_bytes() const { return end() - written_; }
  TimePoint oldest_unwritten() const { return oldest_unwritten_; }
  const std::vector<FooterEntry>& entries() const { return entries_; }
  std::uint64_t oldest_sequence() const { return oldest_sequence_; }

  // Writes what was not yet written. `writeback_bytes`: whenever so much more was written, the device is
  // given it, and the piece before is waited for.
  Result<void> flush(DiskFile& file, std::uint32_t writeback_bytes);
  // flush(), then footer and trailer. Bytes written by it are in written_bytes() too.
  Result<void> seal(DiskFile& file, std::uint32_t writeback_bytes);
  std::uint64_t written_bytes() const { return written_in_all_; }

  BlockRef take_buffer() && { return std::move(buffer_); }

 private:
  std::uint32_t end() const { return end_.load(std::memory_order_relaxed); }
  Result<void> write(DiskFile& file, std::string_view bytes, std::uint32_t offset);

  const SegmentPlace place_;
  BlockRef buffer_;
  std::atomic<std::uint32_t> end_ = kNeedlesBegin;  // stored with release once the bytes are in place
  std::uint32_t written_ = 0;
  std::uint32_t handed_over_ = 0;  // to the device, or at least asked for
  std::uint64_t written_in_all_ = 0;
  TimePoint oldest_unwritten_{};
  std::vector<FooterEntry> entries_;
  std::uint64_t oldest_sequence_ = kNoSequence;
};

// Generation 0 says that the segment is drained.
SegmentHeader make_header(const SegmentPlace& place, WallTime opened_at);

// Footer and trailer of a segment as bytes that end with the segment.
std::string make_footer(const SegmentPlace& place, std::span<const FooterEntry> entries,
                        std::uint32_t needles_end);

}  // namespace vignette::cache
