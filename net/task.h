// Task<T>: a coroutine that starts when it is awaited, owns its frame, and is awaited exactly once.
// Awaiting one runs it by symmetric transfer; when it ends, its caller goes on in the same way.
// A promise accepts only Tasks and the operations of this folder (classes derived from Op), so nothing
// else can ever resume a coroutine. Loop-thread only.
//
// The rules that keep this safe:
//   * `auto r = co_await f(…);` is a statement of its own: not in conditions, arguments or range-for.
//   * What an operation points to lives in the awaiting frame or in a caller's.
//   * No lock, errno, thread-local or shared scratch buffer is held across a co_await.
//   * After a wait, everything shared may have changed: check again.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "net/frame_pool.h"

namespace vignette::net {

class Strand;
class Op;
template <class T>
class Task;

namespace detail {

// Every promise begins with one of these, at the same place in the frame, so that the chain of callers
// can be walked without knowing the types of their results.
class PromiseBase {
 public:
  Strand* strand = nullptr;
  std::coroutine_handle<PromiseBase> caller;
  std::source_location site;  // the co_await this frame is at

  static void* operator new(std::size_t size) { return FramePool::allocate(size); }
  static void operator delete(void* frame, std::size_t size) noexcept { FramePool::release(frame, size); }

  std::suspend_always initial_suspend() noexcept { return {}; }

  struct Final {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
      if (self.promise().caller) return self.promise().caller;
      return std::noop_coroutine();
    }
    void await_resume() noexcept {}
  };
  Final final_suspend() noexcept { return {}; }

  // The exception waits in the strand: only one can be under way in it.
  void unhandled_exception() noexcept;

  template <class O>
    requires std::derived_from<std::remove_cvref_t<O>, Op>
  O&& await_transform(O&& operation, std::source_location where = std::source_location::current()) {
    site = where;
    operation.bind(*strand);
    return static_cast<O&&>(operation);
  }

  template <class T>
  auto await_transform(Task<T>&& task, std::source_location where = std::source_location::current());
};

void rethrow_pending(Strand& strand);

template <class T>
class Promise final : public PromiseBase {
 public:
  Task<T> get_return_object() noexcept;
  template <class U>
    requires std::convertible_to<U&&, T>
  void return_value(U&& value) {
    result_.emplace(std::forward<U>(value));
  }
  T take() {
    if (!result_) rethrow_pending(*strand);
    return std::move(*result_);
  }

 private:
  std::optional<T> result_;
};

template <>
class Promise<void> final : public PromiseBase {
 public:
  Task<void> get_return_object() noexcept;
  void return_void() noexcept {}
  void take() { rethrow_pending(*strand); }
};

}  // namespace detail

template <class T = void>
class [[nodiscard, clang::coro_return_type, clang::coro_lifetimebound]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  explicit Task(Handle frame) : frame_(frame) {
    static_assert(alignof(promise_type) <= 2 * sizeof(void*), "frames are walked by PromiseBase's offset");
  }
  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (frame_) frame_.destroy();
      frame_ = std::exchange(other.frame_, nullptr);
    }
    return *this;
  }
  ~Task() {
    if (frame_) frame_.destroy();
  }

  Handle frame() const { return frame_; }

  struct Awaiter {
    Handle callee;
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> caller) noexcept {
      detail::PromiseBase& promise = caller.promise();
      callee.promise().strand = promise.strand;
      callee.promise().caller = std::coroutine_handle<detail::PromiseBase>::from_address(caller.address());
      return callee;
    }
    T await_resume() { return callee.promise().take(); }
  };

 private:
  Handle frame_;
};

namespace detail {

template <class T>
Task<T> Promise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<Promise>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<Promise>::from_promise(*this));
}

template <class T>
auto PromiseBase::await_transform(Task<T>&& task, std::source_location where) {
  site = where;
  DCHECK(task.frame() && !task.frame().done() && !task.frame().promise().strand);
  return typename Task<T>::Awaiter{task.frame()};
}

}  // namespace detail
}  // namespace vignette::net
