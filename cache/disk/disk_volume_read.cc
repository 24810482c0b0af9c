// The readers' side of a volume. A read that is not in the page cache goes on in the pool; in between it owns
// all it needs: the open volume, the pin on the segment, the buffer and the bytes of the memory tier.
#include <utility>

#include "cache/disk/disk_volume.h"

namespace vignette::cache {

struct DiskVolume::Reading {
  OpenedRef opened;
  Key key;
  std::string key_string;
  DiskPlace place;
  ReadPlan plan;
  Reservation reservation;
  BlockRef buffer;

  // With what reading past the page cache takes around the needle.
  std::size_t room_bytes() const { return plan.bytes + opened->volume->file().direct_slack(); }
  void take_buffer() {
    if (!buffer) buffer = BlockRef::allocate_in_file(room_bytes());
  }
  std::span<char> room() const { return {buffer->data(), buffer->capacity()}; }
};

// Answers exactly once: by running, or when the pool lets go of it without that.
class DiskVolume::PooledRead {
 public:
  PooledRead(DiskVolume& volume, Reading reading, std::move_only_function<void(DiskRead)> done)
      : state_(std::make_unique<State>(volume, std::move(reading), std::move(done))) {}
  PooledRead(PooledRead&&) noexcept = default;
  PooledRead& operator=(PooledRead&&) = delete;
  ~PooledRead() {
    if (state_) state_->done(state_->volume.miss(DiskCount::misses_busy));
  }
  void operator()() {
    const std::unique_ptr<State> state = std::move(state_);
    DiskRead read = state->volume.read_waiting(state->reading);
    {
      const Reading finished = std::move(state->reading);
    }  // unpinned before anything else happens
    state->done(std::move(read));
  }

 private:
  struct State {
    State(DiskVolume& owner, Reading&& what, std::move_only_function<void(DiskRead)>&& then)
        : volume(owner), reading(std::move(what)), done(std::move(then)) {}
    DiskVolume& volume;
    Reading reading;
    std::move_only_function<void(DiskRead)> done;
  };
  std::unique_ptr<State> state_;
};

DiskRead DiskVolume::miss(DiskCount why) {
  counters_.add(why);
  return {};
}

void DiskVolume::read(const Key& key, std::string_view key_string,
                      std::move_only_function<void(DiskRead)> done) {
  const std::uint64_t hash = hash_of(key);
  DiskRead queued;
  Reading reading;
  {
    const std::lock_guard lock(mutex_);
    const auto pending = pending_.find(hash);
    if (pending != pending_.end()) {
      queued = {pending->second.object, queued_token(pending->second.number)};
    } else if (!owed_.contains(hash)) {
      reading.opened = opened_;
    }
  }
  if (queued.object) {
    const bool is_it = queued.object->is_for(key, key_string);
    if (is_it) counters_.add(DiskCount::reads_queued);
    counters_.add(is_it ? DiskCount::hits : DiskCount::misses_other_key);
    return done(is_it ? std::move(queued) : DiskRead());
  }
  const std::optional<DiskPlace> place = reading.opened ? index_.find_and_mark(hash) : std::nullopt;
  if (!place) return done(miss(DiskCount::misses_gone));
  reading.key = key;
  reading.key_string = key_string;
  reading.place = *place;
  if (std::optional<DiskRead> read = read_now(reading)) return done(std::move(*read));
  // The pool has it, or destroys it, which answers too.
  static_cast<void>(pool_.try_submit(PooledRead(*this, std::move(reading), std::move(done))));
}

// Nullopt: it has to wait for the device.
std::optional<DiskRead> DiskVolume::read_now(Reading& reading) {
  const Volume& volume = *reading.opened->volume;
  const DiskPlace& place = reading.place;
  const auto location = volume.locate(place.offset, place.bytes, place.generation);
  auto plan = location ? volume.plan(*location) : std::nullopt;
  if (!plan) {
    index_.erase_at(hash_of(reading.key), place.offset);
    return miss(DiskCount::misses_gone);
  }
  reading.plan = std::move(*plan);
  reading.reservation = host_.reserve(reading.room_bytes() + sizeof(Object) + sizeof(Body));
  if (host_.must_reserve && !reading.reservation) return miss(DiskCount::misses_no_room);
  if (!reading.plan.ram.empty()) {
    counters_.add(DiskCount::reads_ram);
    return decode(reading, reading.plan.ram.view());
  }
  if (reading.plan.bytes > kMostNowait) return std::nullopt;
  reading.take_buffer();
  const auto got =
      volume.file().pread_nowait(reading.room().first(reading.plan.bytes), reading.plan.file_offset);
  if (!got) return unreadable(reading);
  if (!*got) return std::nullopt;
  counters_.add(DiskCount::reads_resident);
  return decode(reading, {reading.buffer->data(), **got});
}

DiskRead DiskVolume::read_waiting(Reading& reading) {
  counters_.add(DiskCount::reads_pooled);
  reading.take_buffer();
  const DiskFile& file = reading.opened->volume->file();
  const auto got = file.pread_direct(reading.room(), reading.plan.bytes, reading.plan.file_offset);
  if (!got) return unreadable(reading);
  return decode(reading, *got);
}

DiskRead DiskVolume::unreadable(const Reading& reading) {
  report_fault(reading.opened.get());
  return miss(DiskCount::misses_error);
}

void DiskVolume::report_damage(const Reading& reading) {
  const Location& location = reading.plan.location;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(damaged_[location.segment], location.generation) == location.generation) return;
  }
  log_.warn("disk {}: segment {} holds damaged bytes; what they belong to is fetched again", options_.path,
            location.segment);
  report_fault(reading.opened.get());
}

// Its bytes may be good again after a restart, when nobody knows any more what replaced it.
// False: somebody else has taken it away.
bool DiskVolume::forget(const Reading& reading) {
  const std::uint64_t hash = hash_of(reading.key);
  const std::lock_guard lock(mutex_);
  if (!index_.erase_at(hash, reading.place.offset)) return false;
  if (!pending_.contains(hash)) owe(hash, reading.key);
  return true;
}

// Generation, checksums and key are looked at again here, after the bytes have come.
DiskRead DiskVolume::decode(Reading& reading, std::string_view bytes) {
  const auto needle = reading.opened->volume->verify(reading.plan, bytes, reading.key, reading.key_string);
  if (needle && needle->kind() == NeedleKind::object) {
    ObjectRef object = reading.buffer ? needle->to_object(reading.buffer) : needle->to_object();
    if (reading.reservation) {
      reading.reservation.set_to(object->footprint());
      object->adopt(std::move(reading.reservation));
    }
    counters_.add(DiskCount::hits);
    return {std::move(object), token_of(reading.place)};
  }
  const NeedleFault fault = needle ? NeedleFault::reclaimed : needle.error();
  if (fault == NeedleFault::other_key) return miss(DiskCount::misses_other_key);
  if (!is_damage(fault)) {
    index_.erase_at(hash_of(reading.key), reading.place.offset);
    return miss(DiskCount::misses_gone);
  }
  // Overwritten while it was read, it may be half of either.
  if (!forget(reading)) return miss(DiskCount::misses_gone);
  report_damage(reading);
  return miss(DiskCount::misses_damaged);
}

}  // namespace vignette::cache
