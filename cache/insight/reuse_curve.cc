#include "cache/insight/reuse_curve.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "base/check.h"

namespace vignette::cache {
namespace {

// Older references count half each time as many were counted.
constexpr double kHalfLife = 1 << 20;

}  // namespace

ReuseCurve::ReuseCurve(std::uint64_t memory_bytes, std::uint32_t first_bound, std::uint32_t steady_bound)
    : memory_bytes_(static_cast<double>(memory_bytes)),
      steady_bound_(steady_bound),
      bound_(first_bound),
      samples_(kPlaces),
      table_(kTable, kNone),
      order_(kPlaces),
      sums_(kTimes + 1) {}

std::size_t ReuseCurve::find(std::uint64_t hash) const {
  std::size_t at = hash & (kTable - 1);
  while (table_[at] != kNone && samples_[table_[at]].hash != hash) at = (at + 1) & (kTable - 1);
  return at;
}

void ReuseCurve::add_bytes(std::uint32_t time, std::uint64_t bytes) {
  for (std::size_t i = time; i <= kTimes; i += i & (~i + 1)) sums_[i] += bytes;
  total_bytes_ += bytes;
}

std::uint64_t ReuseCurve::bytes_until(std::uint32_t time) const {
  std::uint64_t sum = 0;
  for (std::size_t i = time; i > 0; i &= i - 1) sum += sums_[i];
  return sum;
}

void ReuseCurve::weigh(double by) {
  for (double& count : counts_) count *= by;
  expected_ *= by;
}

void ReuseCurve::count_distance(std::uint64_t own_bytes, std::uint64_t sampled_bytes, std::uint32_t times) {
  const double distance = static_cast<double>(own_bytes) + static_cast<double>(sampled_bytes) / rate();
  const auto held = std::ranges::lower_bound(kFactors, distance / memory_bytes_);
  counts_[static_cast<std::size_t>(held - kFactors.begin())] += times;
}

void ReuseCurve::refer(std::uint64_t hash, std::uint64_t bytes, std::uint32_t times) {
  if (place_of(hash) >= bound_ || times == 0) return;
  const std::size_t at = find(hash);
  if (table_[at] == kNone) {
    counts_.back() += 1;
    insert(hash, bytes);
  } else {
    Sample& sample = samples_[table_[at]];
    count_distance(bytes, total_bytes_ - bytes_until(sample.time), 1);
    add_bytes(sample.time, std::uint64_t{0} - sample.bytes);
    sample.bytes = bytes;
    stamp(table_[at]);
  }
  if (times > 1) count_distance(bytes, 0, times - 1);
  if (eager_left_ > 0 && --eager_left_ == 0 && steady_bound_ < bound_) lower_bound(steady_bound_);
}

void ReuseCurve::passed(std::uint64_t references) {
  expected_ += static_cast<double>(references) * rate();
  if (expected_ > kHalfLife) weigh(0.5);
}

// The sample's bytes are in no sum when this is called.
void ReuseCurve::stamp(Slot slot) {
  if (now_ == kTimes) {
    samples_[slot].time = now_ + 1;
    renumber();
    return;
  }
  samples_[slot].time = ++now_;
  add_bytes(now_, samples_[slot].bytes);
}

void ReuseCurve::renumber() {
  const auto order = std::span(order_).first(used_);
  std::iota(order.begin(), order.end(), Slot{0});
  std::ranges::sort(order, {}, [this](Slot slot) { return samples_[slot].time; });
  std::ranges::fill(sums_, 0);
  total_bytes_ = 0;
  now_ = 0;
  for (const Slot slot : order) {
    samples_[slot].time = ++now_;
    add_bytes(now_, samples_[slot].bytes);
  }
}

void ReuseCurve::insert(std::uint64_t hash, std::uint64_t bytes) {
  if (used_ == kPlaces) {
    if (bound_ > 1) make_room();
    if (used_ == kPlaces || place_of(hash) >= bound_) return;
  }
  const auto slot = static_cast<Slot>(used_++);
  VCHECK(slot < kPlaces);
  samples_[slot] = {hash, bytes, 0};
  table_[find(hash)] = slot;
  stamp(slot);
}

// Forgets the keys with the greatest hashes, a sixteenth of all so that it is rare; none when all of them are
// in place 0.
void ReuseCurve::make_room() {
  const auto order = std::span(order_).first(used_);
  std::iota(order.begin(), order.end(), Slot{0});
  const auto kept = order.begin() + static_cast<std::ptrdiff_t>(used_ - used_ / 16);
  auto place = [this](Slot slot) { return place_of(samples_[slot].hash); };
  std::ranges::nth_element(order, kept, {}, place);
  lower_bound(std::max<std::uint32_t>(place(*kept), 1));
}

void ReuseCurve::lower_bound(std::uint32_t bound) {
  weigh(static_cast<double>(bound) / bound_);
  bound_ = bound;
  for (std::size_t i = used_; i-- > 0;) {
    if (place_of(samples_[i].hash) >= bound_) forget(static_cast<Slot>(i));
  }
}

// Takes it out of the table by moving up what its place kept away, and puts the last sample in its slot.
void ReuseCurve::forget(Slot slot) {
  add_bytes(samples_[slot].time, std::uint64_t{0} - samples_[slot].bytes);
  std::size_t hole = find(samples_[slot].hash);
  for (std::size_t at = (hole + 1) & (kTable - 1); table_[at] != kNone; at = (at + 1) & (kTable - 1)) {
    const std::size_t home = samples_[table_[at]].hash & (kTable - 1);
    if (((at - home) & (kTable - 1)) < ((at - hole) & (kTable - 1))) continue;
    table_[hole] = table_[at];
    hole = at;
  }
  table_[hole] = kNone;
  const auto last = static_cast<Slot>(--used_);
  if (last == slot) return;
  table_[find(samples_[last].hash)] = slot;
  samples_[slot] = samples_[last];
}

ReuseCurve::Answer ReuseCurve::answer() const {
  Answer answer;
  auto counts = counts_;
  const double sampled = std::accumulate(counts.begin(), counts.end(), 0.0);
  // A surplus or shortage is nearly always that of a very hot key, whose references are near each other.
  counts[0] = std::max(0.0, counts[0] + expected_ - sampled);
  answer.references = std::accumulate(counts.begin(), counts.end(), 0.0);
  answer.sampling_rate = rate();
  answer.sampled_objects = used_;
  double held = 0;
  for (std::size_t i = 0; i < kFactors.size(); ++i) {
    held += counts[i];
    answer.miss_ratios[i] = answer.references > 0 ? 1 - held / answer.references : 0;
  }
  return answer;
}

}  // namespace vignette::cache
