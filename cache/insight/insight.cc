#include "cache/insight/insight.h"

#include <algorithm>

namespace vignette::cache {

Insight::Insight(unsigned workers, std::uint64_t memory_bytes, const HashSecret& secret)
    : secret_(secret), curve_(std::max<std::uint64_t>(memory_bytes, 1)), bound_(curve_.bound()) {
  for (unsigned i = 0; i < std::max(workers, 1u); ++i) {
    recorders_.push_back(std::make_unique<Recorder>(*this, i));
  }
}

Insight::~Insight() = default;

Insight::Top Insight::top(TopBy by, std::size_t limit, TimePoint now) {
  Top top;
  std::uint64_t floor = 0;
  for (auto& recorder : recorders_) {
    const std::lock_guard lock(recorder->mutex_);
    recorder->turn_window(now);
    for (const auto& window : recorder->windows_) {
      const HeavyHitters& sketch = window->by[static_cast<std::size_t>(by)];
      if (sketch.size() == 0) continue;
      top.over = std::max(top.over, std::chrono::ceil<std::chrono::seconds>(now - window->began));
      sketch.add_to(top.entries, floor);
    }
  }
  keep_heaviest(top.entries, limit);
  return top;
}

ReuseCurve::Answer Insight::what_if() {
  for (auto& recorder : recorders_) {
    const std::lock_guard lock(recorder->mutex_);
    recorder->flush();
  }
  const std::lock_guard lock(curve_mutex_);
  return curve_.answer();
}

Insight::Recorder::Recorder(Insight& insight, unsigned number)
    : insight_(insight), secret_(insight.secret_), random_(number * 0x9e3779b9u + 1) {
  for (auto& window : windows_) window = std::make_unique<Window>();
}

// xorshift32
std::uint32_t Insight::Recorder::next_random() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 17;
  random_ ^= random_ << 5;
  return random_;
}

void Insight::Recorder::turn_window(TimePoint now) {
  if (now - windows_[0]->began < kWindow) return;
  const bool both_are_old = now - windows_[0]->began >= 2 * kWindow;
  std::swap(windows_[0], windows_[1]);
  for (HeavyHitters& sketch : windows_[0]->by) sketch.clear();
  if (both_are_old) {
    for (HeavyHitters& sketch : windows_[1]->by) sketch.clear();
  }
  windows_[0]->began = now;
  windows_[0]->exact_hits = windows_[0]->exact_bytes = 0;
}

void Insight::Recorder::record_key(const Seen& seen, TimePoint now) {
  const std::lock_guard lock(mutex_);
  turn_window(now);
  if (!seen.is_hit) {
    sketch(TopBy::misses).add(seen.key.lo, seen.key_string, 1);
    return;
  }
  sketch(TopBy::hits).add(seen.key.lo, seen.key_string, hits_gap_);
  Window& window = *windows_[0];
  const bool is_exact = window.exact_hits < kExact;
  if (is_exact) ++window.exact_hits;
  hits_gap_ = is_exact ? 1 : 1 + next_random() % (2 * kGap - 1);
  hits_left_ = hits_gap_;
}

void Insight::Recorder::record_bytes(const Seen& seen, TimePoint now) {
  const std::lock_guard lock(mutex_);
  turn_window(now);
  Window& window = *windows_[0];
  HeavyHitters& by_bytes = sketch(TopBy::bytes);
  if (window.exact_bytes < kExact) {
    by_bytes.add(seen.key.lo, seen.key_string, seen.sent_bytes);
    const bool is_last = ++window.exact_bytes == kExact;
    bytes_left_ = is_last ? 1 + next_random() % kByteGap : 1;
    return;
  }
  const std::int64_t gaps = 1 - bytes_left_ / kByteGap;
  by_bytes.add(seen.key.lo, seen.key_string, static_cast<std::uint64_t>(gaps * kByteGap));
  bytes_left_ += gaps * kByteGap;
}

void Insight::Recorder::record_reference(std::uint64_t hash, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  batch_passed_ += passed_;
  passed_ = 0;
  if (batched_ > 0 && batch_[batched_ - 1].hash == hash) {
    ++batch_[batched_ - 1].times;
    return;
  }
  batch_[batched_++] = {hash, bytes, 1};
  if (batched_ == kBatch) flush();
}

// With the mutex held.
void Insight::Recorder::flush() {
  const std::lock_guard lock(insight_.curve_mutex_);
  for (std::size_t i = 0; i < batched_; ++i) {
    insight_.curve_.refer(batch_[i].hash, batch_[i].bytes, batch_[i].times);
  }
  insight_.curve_.passed(batch_passed_);
  batched_ = 0;
  batch_passed_ = 0;
  insight_.bound_.store(insight_.curve_.bound(), std::memory_order_relaxed);
}

}  // namespace vignette::cache
