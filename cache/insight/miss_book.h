// Why the last answer for a key was a miss: for each key the cause and the time of the last departure of what
// was stored, or of a fill that left nothing behind.
//
//   memory evicts, no disk has it   a disk reclaims, memory has not   a purge is found out   a fill ends
//   unstored
//                          \                  |                       |                 /
//                           +-> place (key.hi mod kPlaces): [ key.lo ^ facts | facts ] <-+
//
// One place a hash, the last note stays: a key is forgotten when another one that falls on its place leaves.
// Written where objects leave and fills end, never on a hit; read by reports only. Nothing allocates after
// construction.
//
// Thread-safe without locks: both words are written and read on their own, and a reader takes a pair of two
// writers for another key's, since the key is mixed with the facts (the XOR trick of chess programs' hash
// tables). So a note may be lost to a race; one of another key is never taken for it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "cache/key.h"
#include "cache/purge/purge_cause.h"
#include "cache/reason.h"

namespace vignette::cache {

enum class Departed : std::uint8_t {
  unknown,     // nothing is remembered of that key
  evicted,     // from memory, while no disk had it
  reclaimed,   // from a disk, while memory did not have it
  expired,     // fetched or validated again when its lifetime had ended
  replaced,    // fetched again before that
  purged,      // found out when it was asked for, replaced or evicted
  dropped,     // by the node: more variants of a URL than are kept, parts of an older version
  not_stored,  // the answer may not be
  failed,      // the fill had no answer, or only the beginning of one
};
// "evicted", "not-stored", …; static.
std::string_view to_string(Departed cause);

// `at`: when it went; for expired the end of its lifetime, for purged the purge, where these are known.
struct Departure {
  Departed cause = Departed::unknown;
  bool was_stale = false;                       // evicted, reclaimed: its lifetime had ended before
  DiskRefusal not_on_disk = DiskRefusal::none;  // evicted: why no disk had it, where one was asked
  Reason reason = Reason::none;                 // not_stored
  Code code = Code::internal;                   // failed
  PurgedBy purged_by = PurgedBy::everything;    // purged
  WallTime at{};                                // of notes made: seconds from 1970 to 2106
};

class MissBook {
 public:
  static constexpr std::size_t kPlaces = std::size_t{1} << 16;

  // The clock must outlive it.
  explicit MissBook(const Clock& clock);
  MissBook(const MissBook&) = delete;
  MissBook& operator=(const MissBook&) = delete;

  // Without a time of its own it is now.
  void note(const Key& key, Departure departure);
  Departure last(const Key& key) const;
  // Whether a note of this key may have been overwritten: its place is another key's.
  bool may_have_forgotten(const Key& key) const;

 private:
  struct Place {
    std::atomic<std::uint64_t> check{0};  // facts ^ key.lo
    std::atomic<std::uint64_t> facts{0};  // 0: nothing was ever noted here
  };
  static_assert(sizeof(Place) == 16);

  Place& place_of(const Key& key) const { return (*places_)[key.hi % kPlaces]; }

  const Clock& clock_;
  const std::unique_ptr<std::array<Place, kPlaces>> places_;
};

}  // namespace vignette::cache
