// One level of 4,096 slots of 10 ms. Lazy: a strand whose deadline moves later stays where it lies and is
// put further when its slot comes up, so that a kept-alive connection touches the wheel about once in its
// idle time and not once a request. Deadlines are never met early, and at most a tick late.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <utility>

#include "net/strand.h"

namespace vignette::net {

class TimerWheel {
 public:
  static constexpr Duration kTick = std::chrono::milliseconds(10);
  static constexpr std::int64_t kSlots = 4096;

  explicit TimerWheel(TimePoint now) : current_(tick_of(now)) {}

  // Sets the strand's deadline. Returns true when it lies earlier than anything before it, which is when
  // the caller must arm its wake-up anew.
  bool arm(Strand& strand, TimePoint deadline, TimePoint now);
  void remove(Strand& strand);
  // Calls `expired` for each strand whose deadline is not after `now`; the strand's deadline is cleared.
  void advance(TimePoint now, const std::function<void(Strand&)>& expired);
  // When something may be due; kNoDeadline when the wheel is empty.
  TimePoint next() const { return next_; }
  bool due(TimePoint now) const { return now >= next_; }

 private:
  static std::int64_t tick_of(TimePoint time) { return time.time_since_epoch() / kTick; }
  void link(Strand& strand, std::int64_t due);
  void unlink(Strand& strand);
  void find_next();

  std::array<Strand*, kSlots> slots_{};
  std::array<std::uint64_t, kSlots / 64> occupied_{};
  std::int64_t current_;  // every slot up to here has been emptied
  TimePoint next_ = kNoDeadline;
};

}  // namespace vignette::net
