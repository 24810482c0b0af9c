// Which objects the disk tier takes. Everything while space was never used; after that only what was asked
// for twice, within a budget of bytes a day, and originals before what is derived from them.
//
//   fill or first hit in RAM -> judge() -> admitted: write it (and remember that it is on disk)
//                                       -> once: remembered here; admitted when it comes again
//                                       -> over_budget: not now; a later hit may ask again
//
// "Asked for twice" is: a hit in RAM, or a fill whose fingerprint a ghost still knows. The memory tier's
// ghosts reach as far back as memory does; the ones here as far as the disk holds objects.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "cache/ghost.h"

namespace vignette::cache {

struct AdmissionOptions {
  std::uint64_t write_bytes_per_day = 0;  // 0: no budget
};

enum class Admission : std::uint8_t { admitted, once, over_budget };

struct AdmissionCandidate {
  std::uint64_t hash = 0;    // Key::lo
  std::uint64_t bytes = 0;   // that would be written
  bool asked_again = false;  // a hit in RAM, or known to the memory tier's ghosts
  bool is_derived = false;   // a resize: it can be made again from its original without the origin
};

// One user at a time; no clock of its own, so a replay judges as the node did.
class AdmissionPolicy {
 public:
  // Fingerprints, of 12 to 24 bytes each.
  static constexpr std::uint64_t kMaxRemembered = std::uint64_t{1} << 20;
  // A budget may be saved up for this part of a day; what is derived leaves half of that to originals.
  static constexpr std::uint64_t kBurstsPerDay = 24;

  explicit AdmissionPolicy(const AdmissionOptions& options);

  // `has_unused_space`: bytes of the volumes were never written since they were formatted. `objects`: how
  // many the disk holds. Admitted takes `bytes` from the budget.
  Admission judge(const AdmissionCandidate& candidate, bool has_unused_space, std::uint64_t objects,
                  TimePoint now);
  // Bytes of fingerprints.
  std::size_t footprint() const { return seen_.footprint(); }

 private:
  bool spend(const AdmissionCandidate& candidate, TimePoint now);

  const double bytes_per_day_;
  const double burst_;  // the most that is ever saved up
  double saved_;
  TimePoint refilled_{};
  GhostQueue seen_;
};

}  // namespace vignette::cache
