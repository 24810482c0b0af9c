#include "cache/disk/admission.h"

#include <algorithm>

namespace vignette::cache {
namespace {

constexpr std::uint64_t kMillisecondsPerDay = 24 * 3600 * 1000;

}  // namespace

AdmissionPolicy::AdmissionPolicy(const AdmissionOptions& options)
    : bytes_per_day_(options.write_bytes_per_day), burst_(bytes_per_day_ / kBurstsPerDay), saved_(burst_) {}

Admission AdmissionPolicy::judge(const AdmissionCandidate& candidate, bool has_unused_space,
                                 std::uint64_t objects, TimePoint now) {
  const auto remembered = static_cast<std::size_t>(std::min(objects, kMaxRemembered));
  // Taken out in any case: what is known to have been asked for twice needs no place in the queue.
  const bool seen = seen_.take(candidate.hash, remembered);
  if (!has_unused_space && !candidate.asked_again && !seen) {
    seen_.add(candidate.hash, remembered);
    return Admission::once;
  }
  if (spend(candidate, now)) return Admission::admitted;
  seen_.add(candidate.hash, remembered);
  return Admission::over_budget;
}

// An object larger than the rest of the budget may still go when the budget is full: the debt is not kept,
// it only waits until the budget has filled up again.
bool AdmissionPolicy::spend(const AdmissionCandidate& candidate, TimePoint now) {
  if (bytes_per_day_ == 0) return true;
  using std::chrono::milliseconds;
  const auto passed = std::chrono::duration_cast<milliseconds>(now - refilled_);
  const auto limited =
      std::min(static_cast<std::uint64_t>(std::max<std::int64_t>(passed.count(), 0)), kMillisecondsPerDay);
  const auto earned = static_cast<std::uint64_t>(static_cast<double>(bytes_per_day_) *
                                                 static_cast<double>(limited) / kMillisecondsPerDay);
  if (earned > 0) {
    saved_ = std::min(burst_, saved_ + earned);
    refilled_ = now;
  }
  const std::uint64_t kept = candidate.is_derived ? burst_ / 2 : 0;
  const bool fits = candidate.bytes + kept <= saved_ || saved_ == burst_;
  if (!fits) return false;
  saved_ -= std::min(saved_, candidate.bytes);
  return true;
}

}  // namespace vignette::cache
