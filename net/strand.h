// Strand: one line of control: a connection, a listener, a fill, a background job. It owns the outermost
// task, has at most one pending operation, is its own timer, and remembers that it was cancelled.
// Strands belong to one worker, which alone creates, resumes and deletes them. Loop-thread only.
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>

#include "net/op.h"
#include "net/task.h"

namespace vignette::net {

class Strand {
 public:
  Worker& worker() const { return *worker_; }
  const char* name() const { return name_; }
  bool cancelled() const { return cancelled_; }
  // Sticky: the pending operation fails with Code::cancelled, later ones fail at once; the code returns
  // by its ordinary path. Never resumes inline.
  void cancel();

 private:
  friend class Op;
  friend class Worker;
  friend class TimerWheel;
  friend class StrandRef;
  friend class detail::PromiseBase;
  friend void detail::rethrow_pending(Strand&);

  Worker* worker_ = nullptr;
  const char* name_ = "";
  Task<void> root_;
  std::coroutine_handle<> resume_;  // where to go on
  Op* pending_ = nullptr;
  Strand* next_ready_ = nullptr;
  Strand* next_ = nullptr;  // the worker's list of live ones, or of free ones
  Strand** previous_ = nullptr;
  Strand* timer_next_ = nullptr;
  Strand** timer_previous_ = nullptr;  // null: not in the wheel
  TimePoint deadline_ = kNoDeadline;   // of the pending operation
  std::int64_t timer_tick_ = 0;        // where it lies in the wheel, which may be too early
  std::exception_ptr exception_;
  TimePoint started_{};
  std::uint64_t generation_ = 0;  // 0 is never alive
  bool cancelled_ = false;
  bool queued_ = false;
  std::uint8_t streak_ = 0;  // operations done without suspending
};

// A weak handle: knows when its strand is gone. Trivially copyable; may be carried by other threads but
// used only on the strand's worker. Valid as long as the Worker exists.
class StrandRef {
 public:
  StrandRef() = default;
  explicit StrandRef(Strand& strand) : strand_(&strand), generation_(strand.generation_) {}
  bool alive() const { return strand_ && strand_->generation_ == generation_; }
  void cancel() const {
    if (alive()) strand_->cancel();
  }
  bool operator==(const StrandRef&) const = default;

 private:
  Strand* strand_ = nullptr;
  std::uint64_t generation_ = 0;
};

}  // namespace vignette::net
