// When a disk has failed too often to be asked again: kLimit errors within kWindow.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>

#include "base/clock.h"

namespace vignette::cache {

// One user at a time.
class FaultMeter {
 public:
  static constexpr std::size_t kLimit = 5;
  static constexpr Duration kWindow = std::chrono::seconds(60);

  // One more error. True: that is too many.
  bool add(TimePoint now) {
    std::optional<TimePoint>& oldest = times_[next_++ % kLimit];
    oldest = now;
    const std::optional<TimePoint>& first = times_[next_ % kLimit];
    return first && now - *first <= kWindow;
  }
  void reset() { times_ = {}; }

 private:
  std::array<std::optional<TimePoint>, kLimit> times_;  // a ring
  std::size_t next_ = 0;
};

}  // namespace vignette::cache
