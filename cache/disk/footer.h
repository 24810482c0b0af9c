// Reading back what a segment says of itself.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cache/disk/disk_file.h"
#include "cache/disk/open_segment.h"

namespace vignette::cache {

struct Footer {
  std::vector<FooterEntry> entries;  // in the order of their offsets
  std::uint64_t oldest_sequence = kNoSequence;
};

// Code::malformed: there is none of this generation, or it is damaged.
Result<Footer> read_footer(const DiskFile& file, const SegmentPlace& place);

// The generation that the segment's header states; 0: drained; nullopt: no sound header of this volume.
Result<std::optional<std::uint32_t>> read_generation(const DiskFile& file, const SegmentPlace& place);

struct Scan {
  Footer found;
  std::uint32_t needles_end = kNeedlesBegin;
  std::uint64_t damaged = 0;  // needles of this generation that fail their checksum
};
// Looks for needles in a segment without a footer; `bytes` is all of it. Goes on behind damage.
Scan scan_segment(std::string_view bytes, const SegmentPlace& place);

}  // namespace vignette::cache
