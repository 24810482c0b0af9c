// How many bytes may be held at once, for a purpose that is not the cache's: of originals for
// vignette-imaging, on the whole node, from before the first is copied until its job is over; of content
// codecs, on a worker. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace vignette::proxy {

class SourceBudget {
 public:
  explicit SourceBudget(std::uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // A share of the budget, held for as long as this lives; it may outlive the budget.
  class Permit {
   public:
    Permit() = default;
    Permit(Permit&&) noexcept = default;
    Permit& operator=(Permit&& other) noexcept;
    ~Permit() { shrink_to(0); }
    explicit operator bool() const { return held_ != nullptr; }
    // Gives back what turned out not to be needed.
    void shrink_to(std::uint64_t bytes);

   private:
    friend class SourceBudget;
    using Held = std::shared_ptr<std::atomic<std::uint64_t>>;
    Permit(Held held, std::uint64_t bytes) : held_(std::move(held)), bytes_(bytes) {}
    Held held_;
    std::uint64_t bytes_ = 0;
  };

  // Empty when there is no room beside what is held. Who finds nothing held is always let in, so that no
  // original is too large for the budget alone.
  Permit take(std::uint64_t bytes);
  std::uint64_t held_bytes() const { return held_->load(std::memory_order_relaxed); }

 private:
  const std::uint64_t limit_bytes_;
  const Permit::Held held_ = std::make_shared<std::atomic<std::uint64_t>>(0);
};

}  // namespace vignette::proxy
