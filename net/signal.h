// Signal: a list of strands of one worker that wait for one thing to happen. It carries no state: check the
// condition, wait, check it again. Notifying queues; nobody runs inside notify. Loop-thread only.
#pragma once

#include "net/op.h"

namespace vignette::net {

class Signal;

class SignalOp final : public Op {
 public:
  SignalOp(Signal& signal, TimePoint deadline) : Op(deadline), signal_(&signal) {}
  ~SignalOp();
  bool await_ready();
  void await_suspend(std::coroutine_handle<> frame);
  Result<void> await_resume() const;
  const char* waits_on() const override { return "signal"; }
  void fail(Code code) override;

 private:
  friend class Signal;
  void unhook();

  Signal* signal_;
  SignalOp* next_ = nullptr;
  SignalOp** previous_ = nullptr;
  bool failed_ = false;
  Code code_ = Code::cancelled;
};

class Signal {
 public:
  Signal() = default;
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;
  // Strands that still wait are woken with Code::cancelled.
  ~Signal();

  // Result<void>: ok when notified; Code::timeout at the deadline; Code::cancelled.
  SignalOp wait(TimePoint deadline = kNoDeadline) { return SignalOp(*this, deadline); }
  // Wake who waits now: everybody, or the one who has waited longest (false when nobody does).
  void notify_all();
  bool notify_one();
  bool empty() const { return head_ == nullptr; }

 private:
  friend class SignalOp;
  SignalOp* head_ = nullptr;
  SignalOp** tail_ = &head_;
};

}  // namespace vignette::net
