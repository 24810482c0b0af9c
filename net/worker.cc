#include "net/worker.h"

#include <event2/event.h>
#include <fmt/core.h>

#include <algorithm>

#include "base/check.h"

namespace vignette::net {
namespace {

constexpr int kResumesADrain = 1024;  // then the sockets get their turn
constexpr Duration kWallEvery = std::chrono::milliseconds(5);

// One writer, many readers: no locked instruction.
void bump(std::atomic<std::uint64_t>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

event_base* new_base() {
  event_config* config = event_config_new();
  VCHECK(config);
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
  event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE);
  event_base* base = event_base_new_with_config(config);
  event_config_free(config);
  VCHECK(base);
  return base;
}

timeval until(TimePoint time, TimePoint now) {
  const auto wait = std::clamp<Duration>(time - now, Duration::zero(), std::chrono::hours(1));
  const auto micros = std::chrono::ceil<std::chrono::microseconds>(wait).count();
  return {micros / 1'000'000, micros % 1'000'000};
}

}  // namespace

struct Worker::UnixSignal {
  Worker* worker;
  std::move_only_function<void()> handler;
  event* source = nullptr;
  ~UnixSignal() {
    if (source) event_free(source);
  }
};

Worker::Worker(WorkerOptions options)
    : options_(std::move(options)),
      clock_(options_.clock ? options_.clock : &system_clock_),
      base_(new_base()),
      mailbox_(std::make_shared<Mailbox>()),
      wheel_(clock_->now()),
      now_(clock_->now()),
      wall_(clock_->wall()),
      wall_read_(now_) {
  mail_event_ = event_new(
      base_, mailbox_->descriptor(), EV_READ | EV_PERSIST | EV_ET,
      [](evutil_socket_t, short, void* self) { static_cast<Worker*>(self)->read_mailbox(); }, this);
  wheel_event_ = event_new(
      base_, -1, 0, [](evutil_socket_t, short, void* self) { static_cast<Worker*>(self)->wheel_turned(); },
      this);
  turn_event_ = event_new(
      base_, -1, 0, [](evutil_socket_t, short, void* self) { static_cast<Worker*>(self)->next_turn(); },
      this);
  VCHECK(mail_event_ && wheel_event_ && turn_event_);
  VCHECK(event_add(mail_event_, nullptr) == 0);
}

Worker::~Worker() {
  abandon_all();
  mailbox_->close();
  unix_signals_.clear();
  event_free(turn_event_);
  event_free(wheel_event_);
  event_free(mail_event_);
  event_base_free(base_);
}

void Worker::run() {
  enter();
  drain();
  while (!stopping_ || (live_ > 0 && now_ < grace_end_)) {
    turn_begun_ = false;
    event_base_loop(base_, EVLOOP_ONCE);
    end_turn();
  }
  abandon_all();
  mailbox_->close();
}

void Worker::stop() {
  stop_asked_.store(true, std::memory_order_release);
  mailbox_->wake();
}

void Worker::begin_turn() {
  turn_begun_ = true;
  now_ = clock_->now();
  if (now_ - wall_read_ >= kWallEvery) {
    wall_ = clock_->wall();
    wall_read_ = now_;
  }
  bump(counters_.turns);
  if (wheel_.due(now_)) expire_timers();
}

void Worker::end_turn() {
  if (!turn_begun_) return;
  const std::int64_t busy = (clock_->now() - now_).count();
  const std::int64_t average = lag_.load(std::memory_order_relaxed);
  lag_.store(average + (busy - average) / 16, std::memory_order_relaxed);
  std::int64_t worst = worst_lag_.load(std::memory_order_relaxed);
  if (busy > worst) worst_lag_.compare_exchange_strong(worst, busy, std::memory_order_relaxed);
}

void Worker::expire_timers() {
  wheel_.advance(now_, [](Strand& strand) {
    if (strand.pending_) strand.pending_->expire();
  });
  arm_wheel();
}

void Worker::arm(Strand& strand, TimePoint deadline) {
  if (wheel_.arm(strand, deadline, now_)) arm_wheel();
}

void Worker::arm_wheel() {
  const TimePoint next = std::min(wheel_.next(), grace_end_);
  if (next == wheel_armed_ || next == kNoDeadline) return;
  wheel_armed_ = next;
  const timeval wait = until(next, now_);
  event_add(wheel_event_, &wait);
}

void Worker::wheel_turned() {
  wheel_armed_ = kNoDeadline;
  enter();
  arm_wheel();  // when libevent's coarse clock was a little early, or the wait was cut to an hour
  drain();
}

void Worker::read_mailbox() {
  enter();
  mailbox_->take(letters_);
  for (Mailbox::Letter& letter : letters_) {
    bump(counters_.letters);
    letter();
    letter = nullptr;
  }
  letters_.clear();
  if (stop_asked_.load(std::memory_order_acquire) && !stopping_) {
    stopping_ = true;
    grace_end_ = now_ + options_.stop_grace;
    arm_wheel();
    cancel_all();
  }
  drain();
}

void Worker::next_turn() {
  enter();
  if (later_head_) {
    *ready_tail_ = later_head_;
    ready_tail_ = later_tail_;
    later_head_ = nullptr;
    later_tail_ = &later_head_;
  }
  drain();
}

void Worker::ask_next_turn() {
  // A timer of zero length, not event_active: an event that activates itself starves the sockets.
  const timeval at_once{0, 0};
  if (!event_pending(turn_event_, EV_TIMEOUT, nullptr)) event_add(turn_event_, &at_once);
}

void Worker::make_ready(Strand& strand) {
  DCHECK(!strand.queued_);
#ifdef VIGNETTE_MUTATION_COMPLETE_INLINE
  if (strand.resume_) {
    Strand* outer = std::exchange(running_, &strand);
    std::exchange(strand.resume_, nullptr).resume();
    running_ = outer;
    if (strand.root_.frame().done()) finish(strand);
    return;
  }
#endif
  queue(strand);
}

void Worker::queue(Strand& strand) {
  strand.queued_ = true;
  strand.next_ready_ = nullptr;
  *ready_tail_ = &strand;
  ready_tail_ = &strand.next_ready_;
}

void Worker::make_ready_next_turn(Strand& strand) {
  DCHECK(!strand.queued_);
  strand.queued_ = true;
  strand.next_ready_ = nullptr;
  *later_tail_ = &strand;
  later_tail_ = &strand.next_ready_;
  ask_next_turn();
}

void Worker::drain() {
  DCHECK(!running_);
  for (int left = kResumesADrain; ready_head_ && left > 0; --left) {
    Strand& strand = *ready_head_;
    ready_head_ = strand.next_ready_;
    if (!ready_head_) ready_tail_ = &ready_head_;
    strand.queued_ = false;
    strand.streak_ = 0;
    running_ = &strand;
    bump(counters_.resumes);
    std::exchange(strand.resume_, nullptr).resume();
    running_ = nullptr;
    if (strand.root_.frame().done()) finish(strand);
  }
  if (ready_head_) ask_next_turn();
}

StrandRef Worker::adopt(const char* name, Task<void> root) {
  Strand* strand = free_;
  if (strand) {
    free_ = strand->next_;
  } else {
    strand = &slab_.emplace_back();
  }
  strand->worker_ = this;
  strand->name_ = name;
  strand->generation_ = ++generations_;
  strand->cancelled_ = stopping_;
  strand->streak_ = 0;
  strand->queued_ = false;
  strand->pending_ = nullptr;
  strand->started_ = now_;
  strand->next_ = strands_;
  strand->previous_ = &strands_;
  if (strands_) strands_->previous_ = &strand->next_;
  strands_ = strand;
  ++live_;
  bump(counters_.spawned);
  root.frame().promise().strand = strand;
  strand->resume_ = root.frame();
  strand->root_ = std::move(root);
  queue(*strand);
  return StrandRef(*strand);
}

// The frame is over, or abandoned while it is suspended: its destructors unhook what it waited for.
void Worker::finish(Strand& strand) {
  strand.generation_ = 0;
  if (strand.exception_) report(strand);
  bump(counters_.finished);
#ifdef VIGNETTE_MUTATION_LEAKED_STRAND
  new (&strand.root_) Task<void>();
#else
  strand.root_ = Task<void>();
#endif
  wheel_.remove(strand);
  *strand.previous_ = strand.next_;
  if (strand.next_) strand.next_->previous_ = strand.previous_;
  strand.previous_ = nullptr;
  strand.next_ = free_;
  free_ = &strand;
  --live_;
}

void Worker::report(Strand& strand) {
  bump(counters_.failed);
  const std::exception_ptr exception = std::exchange(strand.exception_, nullptr);
  if (!options_.on_failure) return;
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& known) {
    options_.on_failure(strand.name_, known.what());
  } catch (...) {
    options_.on_failure(strand.name_, "unknown exception");
  }
}

void Worker::cancel_all() {
  for (Strand* strand = strands_; strand; strand = strand->next_) strand->cancel();
}

void Worker::abandon_all() {
  ready_head_ = later_head_ = nullptr;
  ready_tail_ = &ready_head_;
  later_tail_ = &later_head_;
  while (strands_) {
    Strand& strand = *strands_;
    bump(counters_.abandoned);
    strand.resume_ = nullptr;
    finish(strand);
    // Destructors may have queued others, or spawned; none of them will run.
    ready_head_ = later_head_ = nullptr;
    ready_tail_ = &ready_head_;
    later_tail_ = &later_head_;
  }
}

std::vector<StrandInfo> Worker::dump_strands() const {
  std::vector<StrandInfo> all;
  for (const Strand* strand = strands_; strand; strand = strand->next_) {
    StrandInfo& info = all.emplace_back();
    info.id = strand->generation_;
    info.name = strand->name_;
    info.waits_on = strand->pending_     ? strand->pending_->waits_on()
                    : strand == running_ ? "running"
                                         : "ready";
    info.cancelled = strand->cancelled_;
    info.age = now_ - strand->started_;
    if (!strand->resume_) continue;
    auto frame = std::coroutine_handle<detail::PromiseBase>::from_address(strand->resume_.address());
    for (; frame; frame = frame.promise().caller) {
      const std::source_location& site = frame.promise().site;
      info.stack.push_back(fmt::format("{} ({}:{})", site.function_name(), site.file_name(), site.line()));
    }
  }
  return all;
}

void Worker::on_unix_signal(int number, std::move_only_function<void()> handler) {
  auto entry = std::make_unique<UnixSignal>(this, std::move(handler));
  entry->source = evsignal_new(
      base_, number,
      [](evutil_socket_t, short, void* argument) {
        auto& signal = *static_cast<UnixSignal*>(argument);
        signal.worker->enter();
        signal.handler();
        signal.worker->drain();
      },
      entry.get());
  VCHECK(entry->source && event_add(entry->source, nullptr) == 0);
  unix_signals_.push_back(std::move(entry));
}

}  // namespace vignette::net
