#include "net/signal.h"

#include <utility>

namespace vignette::net {

SignalOp::~SignalOp() { unhook(); }

bool SignalOp::await_ready() {
  if (!strand_cancelled()) return false;
  failed_ = true;
  return done_at_once();
}

void SignalOp::await_suspend(std::coroutine_handle<> frame) {
  if (!finished_) {
    previous_ = signal_->tail_;
    *signal_->tail_ = this;
    signal_->tail_ = &next_;
  }
  Op::await_suspend(frame);
}

Result<void> SignalOp::await_resume() const {
  if (failed_) return vignette::fail(code_, Blame::internal, "signal");
  return {};
}

void SignalOp::fail(Code code) {
  unhook();
  failed_ = true;
  code_ = code;
  complete();
}

void SignalOp::unhook() {
  if (!previous_) return;
  *previous_ = next_;
  (next_ ? next_->previous_ : signal_->tail_) = previous_;
  previous_ = nullptr;
  next_ = nullptr;
}

Signal::~Signal() {
  while (head_) head_->fail(Code::cancelled);
}

void Signal::notify_all() {
  while (notify_one()) {
  }
}

bool Signal::notify_one() {
  SignalOp* first = head_;
  if (!first) return false;
  first->unhook();
  first->complete();
  return true;
}

}  // namespace vignette::net
