// The pace of fills that are not kept: what their readers have taken is let go, and the writer gets room as
// they move on. Locks as in fill.cc.
#include <algorithm>
#include <limits>

#include "cache/fill.h"
#include "cache/fill_places.h"

namespace vignette::cache {

std::optional<std::uint64_t> Fill::slowest() const {
  std::optional<std::uint64_t> least;
  const int only = private_to_.load();
  for (const auto& place : readers_) {
    if (place->is_cut || (only != kNobody && !place->owns(only))) continue;
    least = std::min(least.value_or(std::numeric_limits<std::uint64_t>::max()), place->position.load());
  }
  return least;
}

std::size_t Fill::room_locked() const {
  const std::optional<std::uint64_t> behind = slowest();
  if (!behind || !object_) return 0;
  const std::uint64_t length = object_->body().length();
  const std::uint64_t ahead = length > *behind ? length - *behind : 0;
  return ahead < kPacedWindow ? static_cast<std::size_t>(kPacedWindow - ahead) : 0;
}

std::size_t Fill::room(int attempt) {
  if (!paced()) return std::numeric_limits<std::size_t>::max();
  const Lock lock(mutex_);
  if (attempt != winner_) return 0;
  const std::size_t room = room_locked();
  if (room < kPacedResume) owner_waits_ = true;
  return room;
}

bool Fill::has_readers() {
  const Lock lock(mutex_);
  if (readers_.empty()) owner_waits_ = true;
  return !readers_.empty();
}

bool Fill::abandoned(int attempt) const {
  if (!paced()) return false;
  const Lock lock(mutex_);
  return attempt == winner_ && !slowest();
}

bool Fill::lost(int attempt) const {
  const Lock lock(mutex_);
  return winner_ != kNobody && winner_ != attempt;
}

// Paced: what the slowest reader has taken is let go, and only what is left counts.
void Fill::keep_window() {
  if (state() != FillState::streaming) return;
  Body& body = object_->body();
  if (body.state() != Body::State::filling) return;
  body.drop_before(slowest().value_or(body.length()));
  reservation_.set_to(object_->footprint());
}

void Fill::reader_moved() {
  const Lock lock(mutex_);
  keep_window();
  if (owner_waits_ && (room_locked() >= kPacedResume || !slowest())) wake_owner(winner_);
}

// A thousand readers of a fill leave at once: the last one takes the place of each.
void Fill::reader_left(const std::shared_ptr<Reader::Place>& place) {
  const Lock lock(mutex_);
  readers_.back()->index = place->index;
  readers_[place->index].swap(readers_.back());
  readers_.pop_back();
  if (!paced() || state() != FillState::streaming) return;
  keep_window();
  if (!slowest() || (owner_waits_ && room_locked() >= kPacedResume)) wake_owner(winner_);
}

bool Fill::cut_slowest() {
  const Lock lock(mutex_);
  const std::optional<std::uint64_t> least = slowest();
  if (!paced() || !least) return false;
  const int only = private_to_.load();
  for (const auto& place : readers_) {
    if (place->is_cut || place->position != *least || (only != kNobody && !place->owns(only))) continue;
    place->is_cut = true;
    break;
  }
  keep_window();
  wake_readers();
  wake_owner(winner_);
  return true;
}

}  // namespace vignette::cache
