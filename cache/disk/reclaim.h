// Takes the oldest segment back: every needle in it is kept, by copying it into the open segment, or dropped.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cache/disk/footer.h"
#include "cache/disk/volume.h"

namespace vignette::cache {

// At most so much of a segment is kept: 4/3 bytes written for each byte appended.
constexpr std::uint32_t most_kept_bytes(std::uint32_t segment_bytes) { return segment_bytes / 4; }

// Writer's thread of the volume; one run for one segment.
class Reclaim {
 public:
  // `into` may be null: then nothing is kept.
  Reclaim(Volume& volume, std::uint32_t segment, OpenSegment* into);
  // Asks the policy about every needle, newest first. The segment can be used again afterwards.
  void run();

 private:
  std::vector<FooterEntry> entries();
  void judge(const FooterEntry& entry);
  bool keep(const FooterEntry& entry, const Location& from);
  bool has_room(std::uint32_t bytes) const;
  std::expected<NeedleView, NeedleFault> read(const Location& from);

  Volume& volume_;
  const std::uint32_t segment_;
  OpenSegment* const into_;
  std::uint32_t kept_bytes_ = 0;
  std::string buffer_;
};

}  // namespace vignette::cache
