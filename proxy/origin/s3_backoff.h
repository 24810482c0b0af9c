// Backing off from a store that says it is overloaded, or that fails: one state an origin, shared by workers.
//
//   calm      every request goes. One that the store refuses for the moment is tried again after a short,
//             jittered delay, as long as the budget of retries lasts.
//   open      a request was refused for good: until the window ends no request goes. What is stored is served
//             stale, the rest is told to come back. Overload opens at once, other errors after some in a row.
//   probing   the window is over: one request a window goes, until one is answered; then it is calm again.
//
// Windows double from one to the next, are jittered, and are at least as long as the store's Retry-After.
// Thread-safe; while calm, no lock is taken.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

#include "base/clock.h"

namespace vignette::proxy {

class S3Backoff {
 public:
  static constexpr Duration kFirstWindow = std::chrono::milliseconds(200);
  static constexpr Duration kLongestWindow = std::chrono::seconds(20);
  static constexpr std::chrono::seconds kLongestAsked{120};           // of a Retry-After
  static constexpr Duration kLongestProbe = std::chrono::seconds(1);  // from one probe to the next
  static constexpr std::uint32_t kErrorsToOpen = 3;
  // Retries of a request, and how long after the refusal.
  static constexpr unsigned kRetries = 2;
  static constexpr Duration kFirstDelay = std::chrono::milliseconds(100);
  // A retry costs one token; each answer gives back a tenth, up to this many.
  static constexpr std::uint32_t kBudget = 20;

  enum class Admission : std::uint8_t {
    go,
    probe,   // goes alone: not to be tried again
    refuse,  // must not be sent
  };
  Admission admit(TimePoint now);

  // The store answered (whatever the object).
  void succeeded(TimePoint now);
  // It refused for overload, and this request is given up. `jitter` is uniform in [0, 1).
  void throttled(TimePoint now, std::optional<std::chrono::seconds> retry_after, double jitter);
  // It failed in another way, and this request is given up.
  void failed(TimePoint now, double jitter);

  // Whether one more retry is within the budget; takes it.
  bool take_retry();
  // Before retry 0, 1, …
  static Duration retry_delay(unsigned retry, double jitter);

  // How long nobody may ask any more; 0 when open to all or to a probe.
  Duration left(TimePoint now) const;

 private:
  static constexpr std::uint32_t kToken = 10;  // tenths

  void open(TimePoint now, Duration least, double jitter);

  std::atomic<bool> calm_{true};  // no failure since the last answer
  std::atomic<std::uint32_t> tokens_{kBudget * kToken};
  mutable std::mutex mutex_;   // guards what follows
  std::uint32_t windows_ = 0;  // in a row
  std::uint32_t errors_ = 0;   // in a row
  TimePoint until_{};
  Duration window_{};
  bool probing_ = false;
};

}  // namespace vignette::proxy
