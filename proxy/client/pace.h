// How long one message of a client may take in all. The client may stop for `stall`, and what moves gives it
// more time to stop at `bytes_per_second`, but never more than `stall` in advance: a client that is slower
// than that for longer than that has no time left. Only waiting for the client counts. Loop-thread only.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace vignette::proxy {

class Pace {
 public:
  // `bytes_per_second` 0: any byte gives all the time back.
  Pace(Duration stall, std::uint64_t bytes_per_second)
      : stall_(stall), left_(stall), bytes_per_second_(bytes_per_second) {}

  // When a wait that begins now has lasted too long.
  TimePoint deadline(TimePoint now) const { return now + left_; }
  // That wait is over, and so much has moved.
  void moved(Duration waited, std::size_t bytes) {
    left_ = std::clamp(left_ - waited + earned(bytes), Duration::zero(), stall_);
  }

 private:
  Duration earned(std::size_t bytes) const {
    if (bytes_per_second_ == 0) return bytes > 0 ? stall_ : Duration::zero();
    const std::chrono::duration<double> exact(static_cast<double>(bytes) /
                                              static_cast<double>(bytes_per_second_));
    return exact < stall_ ? std::chrono::duration_cast<Duration>(exact) : stall_;
  }

  Duration stall_;
  Duration left_;
  std::uint64_t bytes_per_second_;
};

}  // namespace vignette::proxy
