// What a strand, an operation and a promise do to each other; see op.h and strand.h.
#include "net/strand.h"

#include <utility>

#include "net/worker.h"

namespace vignette::net {
namespace {
constexpr std::uint8_t kShareOfATurn = 32;  // operations without suspending
}

void Strand::cancel() {
  if (cancelled_) return;
  cancelled_ = true;
  if (pending_) pending_->fail(Code::cancelled);
}

void Op::await_suspend(std::coroutine_handle<> frame) {
  strand_->resume_ = frame;
  if (finished_) return worker().make_ready_next_turn(*strand_);
  strand_->streak_ = 0;
  strand_->pending_ = this;
  if (deadline_ != kNoDeadline) worker().arm(*strand_, deadline_);
}

Op::~Op() {
  if (pending()) strand_->pending_ = nullptr;
}

bool Op::done_at_once() {
  finished_ = true;
  return ++strand_->streak_ < kShareOfATurn;
}

bool Op::strand_cancelled() const { return strand_->cancelled_; }
bool Op::deadline_passed() const { return deadline_ <= worker().now(); }
bool Op::pending() const { return strand_ && strand_->pending_ == this; }
Worker& Op::worker() const { return strand_->worker(); }

void Op::complete() {
  DCHECK(pending());
  finished_ = true;
  strand_->pending_ = nullptr;
  strand_->deadline_ = kNoDeadline;  // the wheel finds out when its slot comes up
  worker().make_ready(*strand_);
}

namespace detail {

void PromiseBase::unhandled_exception() noexcept { strand->exception_ = std::current_exception(); }

void rethrow_pending(Strand& strand) {
  if (strand.exception_) std::rethrow_exception(std::exchange(strand.exception_, nullptr));
}

bool Sleep::await_ready() {
  if (relative_) deadline_ = worker().now() + span_;
  cancelled_ = strand_cancelled();
  if (!cancelled_ && !deadline_passed()) return false;
  return done_at_once();
}
Result<void> Sleep::await_resume() const {
  if (cancelled_) return vignette::fail(Code::cancelled, Blame::internal, "sleep");
  return {};
}
void Sleep::fail(Code) {
  cancelled_ = true;
  complete();
}
void Sleep::expire() { complete(); }

bool Yield::await_ready() {
  finished_ = true;
  return false;
}
Result<void> Yield::await_resume() const {
  if (strand_cancelled()) return vignette::fail(Code::cancelled, Blame::internal, "yield");
  return {};
}

}  // namespace detail
}  // namespace vignette::net
