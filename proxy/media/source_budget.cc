#include "proxy/media/source_budget.h"

#include <utility>

namespace vignette::proxy {

SourceBudget::Permit& SourceBudget::Permit::operator=(Permit&& other) noexcept {
  if (this != &other) {
    shrink_to(0);
    held_ = std::move(other.held_);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

void SourceBudget::Permit::shrink_to(std::uint64_t bytes) {
  if (!held_ || bytes >= bytes_) return;
  held_->fetch_sub(bytes_ - bytes, std::memory_order_relaxed);
  bytes_ = bytes;
}

SourceBudget::Permit SourceBudget::take(std::uint64_t bytes) {
  std::uint64_t held = held_->load(std::memory_order_relaxed);
  do {
    if (held > 0 && (bytes > limit_bytes_ || held > limit_bytes_ - bytes)) return {};
  } while (!held_->compare_exchange_weak(held, held + bytes, std::memory_order_relaxed));
  return Permit(held_, bytes);
}

}  // namespace vignette::proxy
