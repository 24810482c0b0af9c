// Bytes of a store's budget, held for as long as the memory they stand for lives. An open fill holds one,
// then the object that came out of it: what is evicted but still being sent goes on counting.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace vignette::cache {

// What a store lends to reservations. Thread-safe; outlives the store while reservations exist.
class Budget {
 public:
  virtual ~Budget() = default;
  virtual bool acquire(std::size_t bytes) = 0;  // may evict; false: there is no room
  virtual void charge(std::size_t bytes) = 0;   // always succeeds: for bounded windows only
  virtual void release(std::size_t bytes) = 0;
};

// One owner at a time; not thread-safe itself. Without a budget (tests, no store) everything succeeds.
class Reservation {
 public:
  Reservation() = default;
  Reservation(std::shared_ptr<Budget> budget, std::size_t bytes)
      : budget_(std::move(budget)), bytes_(bytes) {}
  Reservation(Reservation&& other) noexcept
      : budget_(std::move(other.budget_)), bytes_(std::exchange(other.bytes_, 0)) {}
  Reservation& operator=(Reservation&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Reservation() {
    if (budget_ && bytes_) budget_->release(bytes_);
  }

  explicit operator bool() const { return budget_ != nullptr; }
  std::size_t bytes() const { return bytes_; }
  const Budget* budget() const { return budget_.get(); }

  // Makes it hold at least `bytes`. False: refused, unchanged.
  bool grow_to(std::size_t bytes) {
    if (bytes <= bytes_) return true;
    if (budget_ && !budget_->acquire(bytes - bytes_)) return false;
    bytes_ = bytes;
    return true;
  }
  // Parts with `bytes` of them, and takes another's of the same budget.
  Reservation split(std::size_t bytes) {
    bytes_ -= bytes;
    return Reservation(budget_, bytes);
  }
  void absorb(Reservation other) { bytes_ += std::exchange(other.bytes_, 0); }
  // Makes it hold exactly `bytes`, refused or not.
  void set_to(std::size_t bytes) {
    if (budget_ && bytes > bytes_) budget_->charge(bytes - bytes_);
    if (budget_ && bytes < bytes_) budget_->release(bytes_ - bytes);
    bytes_ = bytes;
  }

 private:
  std::shared_ptr<Budget> budget_;
  std::size_t bytes_ = 0;
};

}  // namespace vignette::cache
