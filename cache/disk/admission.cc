#include "cache/disk/admission.h"

#include <algorithm>

namespace vignette::cache {
namespace {

constexpr double kRounding = 1;  // byte

}  // namespace

AdmissionPolicy::AdmissionPolicy(const AdmissionOptions& options)
    : bytes_per_day_(static_cast<double>(options.write_bytes_per_day)),
      burst_(bytes_per_day_ / kBurstsPerDay),
      saved_(burst_) {}

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

// What is larger than a burst goes when the budget is full, and empties it.
bool AdmissionPolicy::spend(const AdmissionCandidate& candidate, TimePoint now) {
  if (bytes_per_day_ == 0) return true;
  const std::chrono::duration<double, std::chrono::days::period> passed = now - refilled_;
  saved_ = std::min(burst_, saved_ + bytes_per_day_ * std::max(passed.count(), 0.0));
  refilled_ = std::max(refilled_, now);
  const auto bytes = static_cast<double>(candidate.bytes);
  const double kept = candidate.is_derived ? burst_ / 2 : 0;
  const bool fits = bytes + kept <= saved_ + kRounding || saved_ + kRounding >= burst_;
  if (fits) saved_ = std::max(0.0, saved_ - bytes);
  return fits;
}

}  // namespace vignette::cache
