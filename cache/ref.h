// Intrusive reference: for things whose count lives inside them. T has private `references_`, a private
// destroy() and befriends Ref<T>. Thread-safe in the way of shared_ptr.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

namespace vignette::cache {

template <typename T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  // Takes over the count of one that `pointer` was born with.
  static Ref adopt(T* pointer) {
    Ref ref;
    ref.pointer_ = pointer;
    return ref;
  }
  // A further reference to what somebody already holds.
  static Ref share(T* pointer) {
    if (pointer) pointer->references_.fetch_add(1, std::memory_order_relaxed);
    return adopt(pointer);
  }
  Ref(const Ref& other) : Ref(share(other.pointer_)) {}
  Ref(Ref&& other) noexcept : pointer_(std::exchange(other.pointer_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(pointer_, other.pointer_);
    return *this;
  }
  ~Ref() {
    if (pointer_ && pointer_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) pointer_->destroy();
  }

  explicit operator bool() const { return pointer_ != nullptr; }
  T* get() const { return pointer_; }
  T* operator->() const { return pointer_; }
  T& operator*() const { return *pointer_; }
  friend bool operator==(const Ref& a, const Ref& b) { return a.pointer_ == b.pointer_; }

 private:
  T* pointer_ = nullptr;
};

}  // namespace vignette::cache
