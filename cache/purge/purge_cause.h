// Which purge it was, for people.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "cache/purge/prefix_epochs.h"
#include "cache/purge/purge_record.h"

namespace vignette::cache {

// By what an object was named.
enum class PurgedBy : std::uint8_t {
  everything,
  url,  // also a photo, with all that is made from it
  tag,
  prefix,
  origin,
};
// "everything", "url", …; static.
std::string_view to_string(PurgedBy by);

struct PurgeCause {
  PurgedBy by = PurgedBy::everything;
  PurgeMode mode = PurgeMode::hard;
  std::string name;            // of a tag or an origin, as it was ordered; else ""
  std::uint64_t sequence = 0;  // what the receipt calls its id
  WallTime at{};               // the epoch of the clock: not known any more
};

// Takes over what `epoch` means for an object of `sequence`, where it names it at all: a hard purge counts
// before a soft one, a later one before an earlier. `word`: of a tag.
void worsen(std::optional<PurgeCause>& cause, std::uint64_t sequence, const PurgeEpoch& epoch, PurgeKind kind,
            std::string_view word);

}  // namespace vignette::cache
