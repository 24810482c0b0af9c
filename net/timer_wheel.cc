#include "net/timer_wheel.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace vignette::net {
namespace {

constexpr std::int64_t slot_of(std::int64_t tick) { return tick & (TimerWheel::kSlots - 1); }

std::int64_t due_tick(TimePoint deadline) {
  const auto since = deadline.time_since_epoch();
  return since / TimerWheel::kTick + (since % TimerWheel::kTick > Duration::zero() ? 1 : 0);
}

}  // namespace

bool TimerWheel::arm(Strand& strand, TimePoint deadline, TimePoint now) {
  strand.deadline_ = deadline;
  const std::int64_t due = due_tick(deadline);
  if (strand.timer_previous_) {
    if (strand.timer_tick_ <= due) return false;
    unlink(strand);
  }
  // Nothing lies before next_, so that the hand may follow the time without looking.
  const std::int64_t free_until =
      next_ == kNoDeadline ? std::numeric_limits<std::int64_t>::max() : tick_of(next_) - 1;
  current_ = std::max(current_, std::min(tick_of(now), free_until));
  const TimePoint before = next_;
  link(strand, due);
  return next_ < before;
}

void TimerWheel::remove(Strand& strand) {
  if (strand.timer_previous_) unlink(strand);
  strand.deadline_ = kNoDeadline;
}

void TimerWheel::advance(TimePoint now, const std::function<void(Strand&)>& expired) {
  const std::int64_t from = current_;
  current_ = std::max(current_, tick_of(now));
  const std::int64_t steps = std::min(current_ - from, kSlots);
  for (std::int64_t tick = from + 1; tick <= from + steps; ++tick) {
    const std::int64_t slot = slot_of(tick);
    if (!slots_[static_cast<std::size_t>(slot)]) continue;
    Strand* due = nullptr;  // reversed twice: in the order in which they were armed
    while (Strand* strand = slots_[static_cast<std::size_t>(slot)]) {
      unlink(*strand);
      strand->timer_next_ = due;
      due = strand;
    }
    while (due) {
      Strand& strand = *std::exchange(due, due->timer_next_);
      strand.timer_next_ = nullptr;
      if (strand.deadline_ == kNoDeadline) continue;
      if (due_tick(strand.deadline_) > current_) {
        link(strand, due_tick(strand.deadline_));
        continue;
      }
      strand.deadline_ = kNoDeadline;
      expired(strand);
    }
  }
  find_next();
}

void TimerWheel::link(Strand& strand, std::int64_t due) {
  const std::int64_t tick = std::clamp(due, current_ + 1, current_ + kSlots - 1);
  Strand*& head = slots_[static_cast<std::size_t>(slot_of(tick))];
  strand.timer_tick_ = tick;
  strand.timer_next_ = head;
  strand.timer_previous_ = &head;
  if (head) head->timer_previous_ = &strand.timer_next_;
  head = &strand;
  occupied_[static_cast<std::size_t>(slot_of(tick) / 64)] |= 1ull << (slot_of(tick) % 64);
  next_ = std::min(next_, TimePoint(tick * kTick));
}

void TimerWheel::unlink(Strand& strand) {
  *strand.timer_previous_ = strand.timer_next_;
  if (strand.timer_next_) strand.timer_next_->timer_previous_ = strand.timer_previous_;
  strand.timer_next_ = nullptr;
  strand.timer_previous_ = nullptr;
  const std::int64_t slot = slot_of(strand.timer_tick_);
  if (!slots_[static_cast<std::size_t>(slot)])
    occupied_[static_cast<std::size_t>(slot / 64)] &= ~(1ull << (slot % 64));
}

void TimerWheel::find_next() {
  next_ = kNoDeadline;
  for (std::int64_t tick = current_ + 1; tick < current_ + kSlots;) {
    const std::int64_t slot = slot_of(tick);
    const std::uint64_t rest = occupied_[static_cast<std::size_t>(slot / 64)] >> (slot % 64);
    if (rest) {
      next_ = TimePoint((tick + std::countr_zero(rest)) * kTick);
      return;
    }
    tick += 64 - slot % 64;
  }
}

}  // namespace vignette::net
