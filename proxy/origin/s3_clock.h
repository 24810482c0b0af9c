// How far this host's clock is from the store's. S3 refuses signatures that are 15 minutes off; once it has
// said so, requests are signed with its time until ours is right again. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"

namespace vignette::proxy {

class S3Clock {
 public:
  static constexpr std::chrono::seconds kAgree{60};                       // nearer than this is no skew
  static constexpr std::chrono::seconds kWarn = std::chrono::minutes(5);  // further than this is worth a line
  // Further than this is not believed: the time is somebody's mistake, and TLS would not work either.
  static constexpr std::chrono::seconds kMost = std::chrono::hours(24);

  enum class Finding : std::uint8_t {
    fine,
    far,    // more than kWarn, and not corrected for
    right,  // was corrected for, and agrees again
  };
  // Of each answer: `ours` when it came, `theirs` its Date.
  Finding observe(WallTime ours, WallTime theirs);
  // The store refused a signature for its time. The skew (theirs - ours) that is corrected for from now on;
  // nullopt when it explains nothing or is not believed.
  std::optional<std::chrono::seconds> correct(WallTime ours, WallTime theirs);

  WallTime signing_time(WallTime ours) const { return ours + offset(); }
  std::chrono::seconds offset() const {
    return std::chrono::seconds(offset_.load(std::memory_order_relaxed));
  }

 private:
  std::atomic<std::int64_t> offset_{0};
};

// "16m40s behind the store's", "2s ahead of the store's".
std::string describe_skew(std::chrono::seconds theirs_less_ours);

}  // namespace vignette::proxy
