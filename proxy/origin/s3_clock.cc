#include "proxy/origin/s3_clock.h"

#include <fmt/core.h>

namespace vignette::proxy {

S3Clock::Finding S3Clock::observe(WallTime ours, WallTime theirs) {
  const std::chrono::seconds skew = theirs - ours;
  const std::chrono::seconds size = std::chrono::abs(skew);
  if (offset_.load(std::memory_order_relaxed) == 0) return size > kWarn ? Finding::far : Finding::fine;
  if (size > kAgree) {
    if (size <= kMost) offset_.store(skew.count(), std::memory_order_relaxed);
    return Finding::fine;
  }
  return offset_.exchange(0, std::memory_order_relaxed) != 0 ? Finding::right : Finding::fine;
}

std::optional<std::chrono::seconds> S3Clock::correct(WallTime ours, WallTime theirs) {
  const std::chrono::seconds skew = theirs - ours;
  const std::chrono::seconds size = std::chrono::abs(skew);
  if (size <= kAgree || size > kMost) return std::nullopt;
  offset_.store(skew.count(), std::memory_order_relaxed);
  return skew;
}

std::string describe_skew(std::chrono::seconds theirs_less_ours) {
  const auto size = std::chrono::abs(theirs_less_ours).count();
  std::string text;
  if (size >= 3600) text += fmt::format("{}h", size / 3600);
  if (size >= 60) text += fmt::format("{}m", size / 60 % 60);
  text += fmt::format("{}s", size % 60);
  return text + (theirs_less_ours.count() >= 0 ? " behind the store's" : " ahead of the store's");
}

}  // namespace vignette::proxy
