#include "proxy/origin/s3_backoff.h"

#include <algorithm>

namespace vignette::proxy {
namespace {

constexpr std::uint32_t kMostWindowDoublings = 16;

// Half of `whole` for sure, the rest by chance: nodes that were refused together do not come back together.
Duration jittered(Duration whole, double jitter) {
  const double part = 0.5 + std::clamp(jitter, 0.0, 1.0) / 2;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(whole) * part);
}

Duration doubled(Duration first, std::uint32_t times, Duration longest) {
  return std::min<Duration>(first * (1U << std::min(times, kMostWindowDoublings)), longest);
}

}  // namespace

S3Backoff::Admission S3Backoff::admit(TimePoint now) {
  if (calm_.load(std::memory_order_acquire)) return Admission::go;
  std::lock_guard lock(mutex_);
  if (windows_ == 0) return Admission::go;
  if (now < until_) return Admission::refuse;
  probing_ = true;
  until_ = now + std::min(window_, kLongestProbe);
  return Admission::probe;
}

void S3Backoff::succeeded(TimePoint now) {
  std::uint32_t tokens = tokens_.load(std::memory_order_relaxed);
  while (tokens < kBudget * kToken &&
         !tokens_.compare_exchange_weak(tokens, tokens + 1, std::memory_order_relaxed)) {
  }
  if (calm_.load(std::memory_order_acquire)) return;
  std::lock_guard lock(mutex_);
  // An answer to what was asked before the window says nothing of the store's load now.
  if (windows_ > 0 && now < until_ && !probing_) return;
  windows_ = 0;
  errors_ = 0;
  probing_ = false;
  calm_.store(true, std::memory_order_release);
}

void S3Backoff::throttled(TimePoint now, std::optional<std::chrono::seconds> retry_after, double jitter) {
  std::lock_guard lock(mutex_);
  // In seconds: what a store may ask for is more than Duration holds.
  using std::chrono::seconds;
  open(now, std::clamp(retry_after.value_or(seconds(0)), seconds(0), kLongestAsked), jitter);
}

void S3Backoff::failed(TimePoint now, double jitter) {
  std::lock_guard lock(mutex_);
  calm_.store(false, std::memory_order_release);
  if (++errors_ >= kErrorsToOpen || windows_ > 0) open(now, Duration::zero(), jitter);
}

// Under the lock. Refusals of requests that were sent together make one window, not one each.
void S3Backoff::open(TimePoint now, Duration least, double jitter) {
  calm_.store(false, std::memory_order_release);
  if (windows_ > 0 && now < until_ && !probing_) {
    until_ = std::max(until_, now + least);
    return;
  }
  window_ = std::max(least, jittered(doubled(kFirstWindow, windows_, kLongestWindow), jitter));
  ++windows_;
  probing_ = false;
  until_ = now + window_;
}

bool S3Backoff::take_retry() {
  std::uint32_t tokens = tokens_.load(std::memory_order_relaxed);
  while (tokens >= kToken) {
    if (tokens_.compare_exchange_weak(tokens, tokens - kToken, std::memory_order_relaxed)) return true;
  }
  return false;
}

Duration S3Backoff::retry_delay(unsigned retry, double jitter) {
  return jittered(doubled(kFirstDelay, retry, kLongestWindow), jitter);
}

Duration S3Backoff::left(TimePoint now) const {
  if (calm_.load(std::memory_order_acquire)) return Duration::zero();
  std::lock_guard lock(mutex_);
  return windows_ == 0 ? Duration::zero() : std::max(until_ - now, Duration::zero());
}

}  // namespace vignette::proxy
