// Goes through a volume, segment by segment, and overwrites what is to be erased: every needle of that name,
// be it the newest of its key, an older one or one that reclaim has moved, and with it all that no needle
// accounts for any more: what a segment held before it was used again, and needles that are damaged. What is
// left of a segment is its header, needles that stay, fillers, zeros and the footer.
//
//   segment in use           needle by needle; gaps and the unused rest to zeros
//   drained, free, quarantined   all of it to zeros
//
// A filler keeps the key of what it was and stands for an erasure of it (FORMAT.md), so that no older needle
// comes back with a restart. A crash in between leaves every needle whole or unreadable; go through it again.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cache/disk/format.h"
#include "cache/disk/needle.h"
#include "cache/disk/volume.h"
#include "cache/store.h"

namespace vignette::cache {

// Writer's thread of the volume, whose table has been read.
class EraseWalk {
 public:
  // Whether a needle is to go.
  using Names = std::function<bool(const NeedleView& needle)>;
  // Called before its bytes change: nobody may find it any more. True: until now it could be found.
  using Forget = std::function<bool(const Key& key, const Location& location)>;

  EraseWalk(Volume& volume, Names names, Forget forget);

  // The next segment, durably: reads all of it and writes what changes. Flush the volume before; what is
  // appended between steps must not be what is to go. Errors: io: some of its bytes may be there still; the
  // next step goes on with the next segment.
  Result<void> step();
  bool is_done() const { return next_ == volume_.segments(); }
  const Erased& erased() const { return erased_; }

 private:
  struct Content;

  Content content_of(const SegmentPlace& place) const;
  bool must_go(const FooterEntry& entry, const SegmentPlace& place) const;
  Result<void> fill(const FooterEntry& entry, const SegmentPlace& place);
  Result<void> clear(std::uint32_t from, std::uint32_t to, const SegmentPlace& place);
  Result<void> write(std::string_view bytes, std::uint64_t file_offset);

  Volume& volume_;
  const Names names_;
  const Forget forget_;
  std::uint32_t next_ = 0;
  std::string bytes_;  // of the segment
  Erased erased_;
};

}  // namespace vignette::cache
