// Time as a dependency, so that tests set it by hand.
#pragma once

#include <atomic>
#include <chrono>

namespace vignette {

using Duration = std::chrono::steady_clock::duration;
using TimePoint = std::chrono::steady_clock::time_point;  // monotonic: deadlines, durations
using WallTime = std::chrono::sys_seconds;                // wall clock: Date, Age, Expires

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  virtual WallTime wall() const = 0;
  // The same as finely as it is known, for numbers that must not come again.
  virtual std::chrono::sys_time<std::chrono::microseconds> wall_micros() const = 0;
};

class SystemClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
  WallTime wall() const override {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  }
  std::chrono::sys_time<std::chrono::microseconds> wall_micros() const override {
    return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
  }
};

class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime wall = WallTime(std::chrono::seconds(1'700'000'000))) : start_(wall) {}
  TimePoint now() const override { return TimePoint(elapsed_.load(std::memory_order_relaxed)); }
  WallTime wall() const override {
    return start_ + std::chrono::floor<std::chrono::seconds>(elapsed_.load(std::memory_order_relaxed));
  }
  std::chrono::sys_time<std::chrono::microseconds> wall_micros() const override {
    return start_ + std::chrono::floor<std::chrono::microseconds>(elapsed_.load(std::memory_order_relaxed));
  }
  void advance(Duration by) { elapsed_ = elapsed_.load() + by; }

 private:
  WallTime start_;
  std::atomic<Duration> elapsed_{Duration::zero()};
};

}  // namespace vignette
