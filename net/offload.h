// Runs a blocking function on a pool of threads and goes on in the worker with its result.
#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "net/mailbox.h"
#include "net/op.h"
#include "net/worker.h"

namespace vignette::net {

namespace detail {
template <class T>
struct OffloadValue {
  using type = T;
};
template <class T>
struct OffloadValue<Result<T>> {
  using type = T;
};
}  // namespace detail

template <class Pool, class Function>
class OffloadOp final : public Op {
 public:
  using Value = typename detail::OffloadValue<std::invoke_result_t<Function&>>::type;

  OffloadOp(Pool& pool, Function function, TimePoint deadline)
      : Op(deadline), pool_(pool), function_(std::move(function)) {}
  ~OffloadOp() { forget(); }

  bool await_ready() {
    if (strand_cancelled()) {
      result_ = fail_with(Code::cancelled);
      return done_at_once();
    }
    shared_ = std::make_shared<Shared>(this);
    if (pool_.try_submit(Job(shared_, std::move(function_), worker().mailbox()))) return false;
    forget();
    result_ = fail_with(Code::exhausted);
    return done_at_once();
  }
  Result<Value> await_resume() { return std::move(*result_); }
  const char* waits_on() const override { return "offload"; }
  void fail(Code code) override {
    forget();
    result_ = fail_with(code);
    complete();
  }

 private:
  struct Shared {
    explicit Shared(OffloadOp* op) : waiting(op) {}
    OffloadOp* waiting;                  // loop-thread only; null when nobody wants the result any more
    std::optional<Result<Value>> value;  // written by the pool before the letter, read by the loop after it
  };

  // What the pool holds. Destroyed without having run (the pool ended), it still answers.
  class Job {
   public:
    Job(std::shared_ptr<Shared> shared, Function function, std::shared_ptr<Mailbox> mailbox)
        : shared_(std::move(shared)), function_(std::move(function)), mailbox_(std::move(mailbox)) {}
    Job(Job&&) noexcept = default;
    Job& operator=(Job&&) = delete;
    ~Job() {
      if (!shared_) return;
      shared_->value.emplace(fail_with(Code::unavailable));
      answer();
    }
    void operator()() {
      run(*shared_, function_);
      answer();
    }

   private:
    void answer() {
      mailbox_->post([shared = std::move(shared_)] { deliver(*shared); });
    }
    std::shared_ptr<Shared> shared_;
    Function function_;
    std::shared_ptr<Mailbox> mailbox_;
  };

  void forget() {
#ifndef VIGNETTE_MUTATION_RAW_POINTER
    if (shared_) shared_->waiting = nullptr;
#endif
    shared_.reset();
  }
  static std::unexpected<Error> fail_with(Code code) {
    return vignette::fail(code, Blame::internal, "offload", 0,
                          code == Code::exhausted ? Retry::yes : Retry::no);
  }
  static void run(Shared& shared, Function& function) noexcept {
    try {
      if constexpr (std::is_void_v<std::invoke_result_t<Function&>>) {
        function();
        shared.value.emplace();
      } else {
        shared.value.emplace(function());
      }
    } catch (...) {
      shared.value.emplace(fail_with(Code::internal));
    }
  }
  static void deliver(Shared& shared) {
    OffloadOp* op = std::exchange(shared.waiting, nullptr);
    if (!op) return;
    op->result_ = std::move(shared.value);
    op->shared_.reset();
    op->complete();
  }

  Pool& pool_;
  Function function_;
  std::shared_ptr<Shared> shared_;
  std::optional<Result<Value>> result_;
};

// `auto r = co_await offload(pool, [copied…] { return …; });` -> Result<T>, for a function returning T, void
// or Result<T>. `pool` has `bool try_submit(std::move_only_function<void()>)`, false when it is full:
// Code::exhausted. The function owns all it touches: when the strand is cancelled or the deadline passes, the
// strand goes on at once, the function still runs to its end and its result is dropped. An exception becomes
// Code::internal.
template <class Pool, class Function>
OffloadOp<Pool, std::decay_t<Function>> offload(Pool& pool, Function&& function,
                                                TimePoint deadline = kNoDeadline) {
  return {pool, std::forward<Function>(function), deadline};
}

}  // namespace vignette::net
