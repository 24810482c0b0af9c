// Op: what a strand waits for. It lives in the awaiter, inside the suspended frame; whoever completes it
// (a socket, a signal, the timer) holds a plain pointer, which the destructor takes back. Completing
// never resumes: it queues the strand, and Worker::drain() is the only place that resumes.
// Loop-thread only. Used by the files of this folder; others only await what these return.
#pragma once

#include <coroutine>

#include "base/clock.h"
#include "base/error.h"

namespace vignette::net {

class Strand;
class Worker;

inline constexpr TimePoint kNoDeadline = TimePoint::max();

class Op {
 public:
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;
  void bind(Strand& strand) { strand_ = &strand; }
  void await_suspend(std::coroutine_handle<> frame);

  virtual const char* waits_on() const = 0;  // a literal, for the list of strands
  // Leaves everything that would complete it and completes with this error. Cancellation and deadlines.
  virtual void fail(Code code) = 0;
  virtual void expire() { fail(Code::timeout); }

 protected:
  Op() = default;
  explicit Op(TimePoint deadline) : deadline_(deadline) {}
  ~Op();

  // What await_ready returns when the result is already there: false when the strand has had its share
  // of this turn; it then goes on in the next one.
  bool done_at_once();
  bool strand_cancelled() const;
  bool deadline_passed() const;
  bool pending() const;
  // The result is in place: queues the strand.
  void complete();
  Worker& worker() const;

  Strand* strand_ = nullptr;
  TimePoint deadline_ = kNoDeadline;
  bool finished_ = false;
};

}  // namespace vignette::net
