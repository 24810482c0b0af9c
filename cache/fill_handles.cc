// Subscription, Reader and FillWriter: thin handles over Fill.
#include "base/check.h"
#include "cache/fill.h"
#include "cache/fill_places.h"

namespace vignette::cache {

Subscription& Subscription::operator=(Subscription&& other) noexcept {
  if (this != &other) {
    reset();
    state_ = std::move(other.state_);
  }
  return *this;
}

void Subscription::reset() {
  if (auto state = std::exchange(state_, nullptr)) state->end();
}

Reader& Reader::operator=(Reader&& other) noexcept {
  if (this != &other) {
    reset();
    fill_ = std::move(other.fill_);
    place_ = std::move(other.place_);
    object_ = std::move(other.object_);
  }
  return *this;
}

void Reader::reset() {
  auto place = std::exchange(place_, nullptr);
  auto fill = std::exchange(fill_, nullptr);
  object_ = nullptr;
  if (place) fill->reader_left(place);
}

FillState Reader::state() const {
  if (place_->is_cut.load(std::memory_order_acquire)) return FillState::cut;
  const FillState state = fill_->state();
  if (state == FillState::waiting_head) return state;
  if (place_->joined_at >= fill_->refused_from_.load(std::memory_order_acquire)) return FillState::refused;
  const int owner = fill_->private_to_.load(std::memory_order_acquire);
  if (owner != Fill::kNobody && !place_->owns(owner)) return FillState::refused;
  return state;
}

// The object it began with stays, also when the fill ends with another copy of it.
const ObjectRef& Reader::followed() const {
  if (!object_ && fill_->state() != FillState::waiting_head) object_ = fill_->object();
  return object_;
}

ObjectRef Reader::object() const {
  if (fill_->state() == FillState::complete) return fill_->object();
  return followed();
}

std::uint64_t Reader::position() const { return place_->position.load(std::memory_order_relaxed); }

std::uint64_t Reader::available() const {
  const ObjectRef& object = followed();
  const FillState now = state();
  if (!object || now == FillState::refused || now == FillState::cut) return 0;
  const std::uint64_t length = object->body().length();
  return length > position() ? length - position() : 0;
}

std::size_t Reader::peek(std::span<Slice> out) const {
  const ObjectRef& object = followed();
  const FillState now = state();
  if (!object || now == FillState::refused || now == FillState::cut) return 0;
  return object->body().read(position(), out);
}

void Reader::advance(std::uint64_t bytes) {
  place_->position.fetch_add(bytes);
  if (fill_->paced()) fill_->reader_moved();
}

bool Reader::at_end() const {
  return state() == FillState::complete && followed() && position() >= followed()->body().length();
}

FillWriter& FillWriter::operator=(FillWriter&& other) noexcept {
  if (this != &other) {
    reset();
    fill_ = std::move(other.fill_);
    attempt_ = other.attempt_;
  }
  return *this;
}

void FillWriter::reset() {
  if (!fill_) return;
  fill_->fail(attempt_, Error{.code = Code::cancelled, .where = "fill dropped"});
  fill_ = nullptr;
}

HeadVerdict FillWriter::set_head(const ObjectHead& head, Reason not_stored) {
  ObjectHead stamped = head;
  if (stamped.sequence == 0 || stamped.sequence > fill_->sequence_) stamped.sequence = fill_->sequence_;
  return fill_->set_head(attempt_, stamped, not_stored);
}
Result<void> FillWriter::append(Slice bytes) { return fill_->append(attempt_, std::move(bytes)); }
std::size_t FillWriter::room() const { return fill_->room(attempt_); }
bool FillWriter::has_readers() const { return fill_->has_readers(); }
bool FillWriter::abandoned() const { return fill_->abandoned(attempt_); }
Result<ObjectRef> FillWriter::commit() { return fill_->commit(attempt_); }
HeadVerdict FillWriter::complete_with(ObjectRef object, const Object* old) {
  return fill_->complete_with(attempt_, std::move(object), old);
}
void FillWriter::fail(Error error) { fill_->fail(attempt_, error); }
void FillWriter::keep_waiting(TimePoint now) {
  fill_->started_at_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
}
bool FillWriter::lost() const { return fill_->lost(attempt_); }
bool FillWriter::cut_slowest() { return fill_->cut_slowest(); }

Subscription FillWriter::on_room(Executor& executor, std::move_only_function<void()> callback) {
  auto state = std::make_shared<Subscription::State>(executor, std::move(callback));
  const std::lock_guard lock(fill_->mutex_);
  fill_->attempts_[attempt_].owner = state;
  return Subscription(std::move(state));
}

}  // namespace vignette::cache
