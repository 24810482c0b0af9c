// The writer's side of a volume: opening, recovery, appending, snapshots, reclaim, the end.
#include <algorithm>
#include <future>
#include <system_error>
#include <utility>
#include <vector>

#include "cache/disk/disk_volume.h"
#include "cache/disk/snapshot.h"

namespace vignette::cache {
namespace {

constexpr std::size_t kJobsAStep = 64;
constexpr std::size_t kErasuresAStep = 256;
constexpr std::size_t kShardsAStep = 8;                          // of the index, into a snapshot
constexpr Duration kSettleEvery = std::chrono::seconds(1);       // levels that others read
constexpr Duration kAgainAfter = std::chrono::milliseconds(50);  // while readers hold the old file

}  // namespace

void DiskVolume::run() {
  while (true) {
    const TimePoint next = step();
    std::unique_lock lock(mutex_);
    wake_.wait_until(lock, next, [this] { return is_woken_ || is_stopping_; });
    is_woken_ = false;
    if (is_stopping_) break;
  }
  finish();
}

TimePoint DiskVolume::step() {
  const TimePoint now = clock_.now();
  bool wants_format = false;
  {
    const std::lock_guard lock(mutex_);
    wants_format = wants_format_;
  }
  if (own_ && (wants_format || state() == DiskState::offline)) {
    release();
    next_open_ = wants_format ? now : now + options_.probe_every;
  }
  if (!own_) {
    if (now >= next_open_) open(now);
    if (state() == DiskState::offline) abandon_erasing();
    return own_ ? now : next_open_;
  }
  if (recovery_) recover();
  bool is_busy = recovery_ != nullptr;
  if (!recovery_ || recovery_->is_started()) {
    write_owed();
    is_busy = write_queue() || is_busy;
    if (auto ticked = own_->volume->tick(); !ticked) failed_to_write(ticked.error());
    advance_snapshot(now);
  }
  if (!recovery_ && state() != DiskState::offline) erase_some();
  lift_quarantine(now);
  has_unused_space_.store(own_->volume->has_unused_space(), std::memory_order_relaxed);
  if (now >= next_settle_) settle(now);
  return next_due(now, is_busy);
}

// A segment that failed may do better the next time, and is only a little loss when it does not.
void DiskVolume::lift_quarantine(TimePoint now) {
  if (now < next_lift_) return;
  next_lift_ = now + kLiftQuarantineEvery;
  own_->volume->lift_quarantine();
}

TimePoint DiskVolume::next_due(TimePoint now, bool is_busy) const {
  if (is_busy || snapshot_ || state() == DiskState::offline) return now;
  TimePoint next = std::min(next_settle_, std::max(next_snapshot_, now));
  if (const auto flush = own_->volume->next_flush()) next = std::min(next, *flush);
  if (walk_) next = std::min(next, next_walk_);
  return next;
}

void DiskVolume::settle(TimePoint now) {
  next_settle_ = now + kSettleEvery;
  objects_.store(index_.size(), std::memory_order_relaxed);
  const std::size_t footprint = index_.footprint();
  index_bytes_.store(footprint, std::memory_order_relaxed);
  if (!index_charge_) index_charge_ = host_.reserve(0);
  index_charge_.set_to(footprint);
  oldest_sequence_.store(own_ && own_->volume->is_recovered() ? own_->volume->oldest_sequence() : 0,
                         std::memory_order_relaxed);
}

// Nobody finds anything here from now on; the file is closed by whoever reads it last.
void DiskVolume::release() {
  abandon_erasing();
  snapshot_.reset();
  recovery_.reset();
  if (own_ && !own_->volume->flush()) owe_open_segment();
  open_keys_.clear();
  last_ = own_;
  own_.reset();
  index_.clear();
  has_unused_space_.store(false, std::memory_order_relaxed);
  settle(clock_.now());
}

void DiskVolume::open(TimePoint now) {
  next_open_ = now + kAgainAfter;
  if (!last_.expired()) return;
  bool formats = false;
  {
    const std::lock_guard lock(mutex_);
    formats = std::exchange(wants_format_, false);
  }
  if (auto opened = open_volume(formats)) {
    own_ = std::move(*opened);
  } else {
    counters_.add(DiskCount::open_errors);
    if (!said_offline_.exchange(true)) {
      log_.warn("disk {}: {} ({}); going on without it", options_.path, opened.error().where,
                explain(opened.error()));
    }
    next_open_ = now + options_.probe_every;
    const std::lock_guard lock(mutex_);
    wants_format_ = wants_format_ || formats;
    go_offline();
    return;
  }
  const bool is_back = said_offline_.exchange(false);
  if (is_back) log_.info("disk {}: is back", options_.path);
  next_snapshot_ = now + kSnapshotEvery;
  next_lift_ = now + kLiftQuarantineEvery;
  snapshot_mark_ = 0;
  {
    const std::lock_guard lock(mutex_);
    if (wants_format_) return;  // cleared meanwhile: the next step begins again
    opened_ = own_;
    faults_.reset();
    state_.store(DiskState::recovering, std::memory_order_relaxed);
  }
  if (is_back) host_.on_back();
}

Result<DiskVolume::OpenedRef> DiskVolume::open_volume(bool formats) {
  auto opened = std::make_shared<Opened>();
  auto directory = options_.open_directory(options_.path);
  if (!directory) return std::unexpected(directory.error());
  opened->directory = std::move(*directory);
  if (formats) {
    for (const std::string_view name : {kSnapshotFile, kNewSnapshotFile, kVolumeFile}) {
      if (auto removed = opened->directory->remove(name); !removed) return std::unexpected(removed.error());
    }
  }
  auto volume = Volume::open(*opened->directory, options_.volume, clock_, log_);
  if (!volume) return std::unexpected(volume.error());
  opened->volume = std::move(*volume);
  opened->volume->set_reclaim_policy(this);
  recovery_ = std::make_unique<Recovery>(
      *opened->volume, [this](const RecoveredEntry& entry) { on_recovered(entry); },
      [this](std::span<const RecoveredEntry> entries) { on_snapshot(entries); });
  // An index of about the size it will have need not grow on the way there.
  recovery_->step();
  index_.clear();
  index_.reserve(static_cast<std::size_t>(recovery_->expected_objects()));
  return opened;
}

// With the mutex held. What was to be written is let go of; what it was to replace must not come back.
void DiskVolume::go_offline() {
  state_.store(DiskState::offline, std::memory_order_relaxed);
  opened_.reset();
  for (const auto& [hash, pending] : pending_) owe(hash, pending.object->key());
  pending_.clear();
  queue_.clear();
  queue_bytes_ = 0;
  is_woken_ = true;
  wake_.notify_one();
}

void DiskVolume::report_fault(const Opened* opened) {
  const std::lock_guard lock(mutex_);
  if (!opened || opened_.get() != opened || !faults_.add(clock_.now())) return;
  counters_.add(DiskCount::taken_offline);
  said_offline_ = true;
  log_.warn("disk {}: {} errors in {} s; going on without it", options_.path, FaultMeter::kLimit,
            std::chrono::duration_cast<std::chrono::seconds>(FaultMeter::kWindow).count());
  go_offline();
}

void DiskVolume::appended(const Key& key, const Location& location) {
  if (std::exchange(open_generation_, location.generation) != location.generation) open_keys_.clear();
  open_keys_.push_back(key);
}

// What the open segment held is lost, and with it what said that older needles are dead: it is said again.
void DiskVolume::owe_open_segment() {
  const std::lock_guard lock(mutex_);
  for (const Key& key : std::exchange(open_keys_, {})) {
    const std::uint64_t hash = hash_of(key);
    if (pending_.contains(hash)) continue;
    index_.erase(hash);
    owe(hash, key);
  }
}

void DiskVolume::failed_to_write(const Error& error) {
  if (error.code != Code::io) return;
  counters_.add(DiskCount::write_errors);
  owe_open_segment();
  report_fault(own_.get());
}

void DiskVolume::recover() {
  if (recovery_->step()) return;
  const RecoveryStats& stats = recovery_->stats();
  log_.info("disk {}: {} objects ({} from the snapshot, {} segments scanned, {} needles damaged)",
            options_.path, index_.size(), stats.snapshot_entries, stats.segments_scanned,
            stats.needles_damaged);
  recovery_.reset();
  next_settle_ = {};
  const std::lock_guard lock(mutex_);
  if (state() == DiskState::recovering) state_.store(DiskState::serving, std::memory_order_relaxed);
}

// Only the writer's thread puts anything into the index, and a helper while it waits (on_snapshot()), so
// nothing comes between looking and putting.
void DiskVolume::on_recovered(const RecoveredEntry& entry) {
  if (const std::optional<DiskPlace> known = index_.find(entry.hash)) {
    const auto location = own_->volume->locate(known->offset, known->bytes, known->generation);
    if (location && !is_older(*location, entry.location)) return;
  }
  if (entry.is_erasure) {
    index_.erase(entry.hash);
    return;
  }
  DiskPlace place = place_of(entry.location);
  place.was_hit = entry.was_hit;
  index_.put(entry.hash, place);
}

// Whatever the index has by now is newer. Most of a start is spent here, so that a thread of its own takes
// half of a large block.
void DiskVolume::on_snapshot(std::span<const RecoveredEntry> entries) {
  constexpr std::size_t kWorthAThread = 16 * 1024;
  std::future<void> half;
  if (entries.size() >= kWorthAThread) {
    try {
      half = std::async(std::launch::async,
                        [this, some = entries.first(entries.size() / 2)] { put_absent(some); });
      entries = entries.subspan(entries.size() / 2);
    } catch (const std::system_error&) {
      // No thread to be had.
    }
  }
  put_absent(entries);
  if (half.valid()) half.get();
}

void DiskVolume::put_absent(std::span<const RecoveredEntry> entries) {
  constexpr std::size_t kAtOnce = 1024;
  std::vector<DiskIndex::Entry> found;
  found.reserve(kAtOnce);
  while (!entries.empty()) {
    const auto some = entries.first(std::min(entries.size(), kAtOnce));
    for (const RecoveredEntry& entry : some) {
      found.push_back({entry.hash, place_of(entry.location)});
      found.back().place.was_hit = entry.was_hit;
    }
    index_.put_absent(found);
    found.clear();
    entries = entries.subspan(some.size());
  }
}

void DiskVolume::write_owed() {
  std::vector<std::pair<std::uint64_t, Key>> owed;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& each : owed_) {
      if (owed.size() == kErasuresAStep) break;
      owed.push_back(each);
    }
    if (owed_.size() > owed.size()) is_woken_ = true;
  }
  for (const auto& [hash, key] : owed) {
    const auto location = own_->volume->append_erasure(key);
    if (!location) return failed_to_write(location.error());
    appended(key, *location);
    if (recovery_) recovery_->forget(key, *location);
    counters_.add(DiskCount::erasures);
    const std::lock_guard lock(mutex_);
    if (owed_.erase(hash) != 0) index_.erase(hash);
  }
}

// True: there is more.
bool DiskVolume::write_queue() {
  for (std::size_t i = 0; i < kJobsAStep; ++i) {
    Job job;
    ObjectRef object;
    {
      const std::lock_guard lock(mutex_);
      if (queue_.empty()) return false;
      job = queue_.front();
      const auto pending = pending_.find(hash_of(job.key));
      if (pending != pending_.end() && pending->second.number == job.number) object = pending->second.object;
      if (!object) drop_front();
    }
    if (object) write_job(job, object);
    if (state() == DiskState::offline) return false;
  }
  return true;
}

// With the mutex held, after the first job is done; clear() and go_offline() may have taken it already.
void DiskVolume::drop_front() {
  queue_bytes_ -= queue_.front().bytes;
  queue_.pop_front();
}

void DiskVolume::write_job(const Job& job, const ObjectRef& object) {
  const std::uint64_t hash = hash_of(job.key);
  const bool is_purged = host_.is_dead(object->sequence(), object->key_string(), object->tags());
  const Result<Location> location =
      is_purged ? fail(Code::refused, Blame::internal, "disk: purged") : own_->volume->append(*object);
  if (location) {
    counters_.add(DiskCount::written);
    appended(job.key, *location);
  }
  ObjectRef written;  // let go of after the lock
  {
    const std::lock_guard lock(mutex_);
    if (!queue_.empty() && queue_.front().number == job.number) drop_front();
    const auto pending = pending_.find(hash);
    if (pending != pending_.end() && pending->second.number == job.number) {
      if (location) {
        index_.put(hash, place_of(*location));
      } else if (is_purged || !pending->second.keeps_old) {
        index_.erase(hash);
        owe(hash, job.key);
      }
      written = std::move(pending->second.object);
      pending_.erase(pending);
    }
  }
  if (!location) failed_to_write(location.error());
}

// False: nobody wants it. Who asks from now on waits for the next walk.
bool DiskVolume::begin_erasing() {
  {
    const std::lock_guard lock(mutex_);
    walk_for_.swap(erase_wanted_);
  }
  if (walk_for_.empty()) return false;
  walk_ = std::make_unique<EraseWalk>(
      *own_->volume,
      [this](const NeedleView& needle) {
        return host_.must_erase(needle.sequence(), needle.key_string(), needle.head().tags);
      },
      [this](const Key& key, const Location& location) {
        return index_.erase_at(hash_of(key), own_->volume->file_offset(location));
      });
  walk_result_ = {};
  next_walk_ = clock_.now();
  return true;
}

// One segment, and as much time for others as that took.
void DiskVolume::erase_some() {
  if (!walk_ && !begin_erasing()) return;
  const TimePoint begun = clock_.now();
  if (begun < next_walk_) return;
  if (auto flushed = own_->volume->flush(); !flushed) failed_to_write(flushed.error());
  if (auto erased = walk_->step(); !erased) {
    if (walk_result_) walk_result_ = erased;
    counters_.add(DiskCount::write_errors);
    report_fault(own_.get());
  }
  next_walk_ = clock_.now() + (clock_.now() - begun);
  if (!walk_->is_done()) return;
  const std::unique_ptr<EraseWalk> walk = std::move(walk_);
  for (ErasedDone& done : std::exchange(walk_for_, {})) {
    done(walk_result_ ? Result<Erased>(walk->erased()) : std::unexpected(walk_result_.error()));
  }
}

// Nobody waits for a volume that is away.
void DiskVolume::abandon_erasing() {
  walk_.reset();
  std::vector<ErasedDone> waiting = std::exchange(walk_for_, {});
  {
    const std::lock_guard lock(mutex_);
    std::ranges::move(std::exchange(erase_wanted_, {}), std::back_inserter(waiting));
  }
  for (ErasedDone& done : waiting) {
    done(fail(Code::unavailable, Blame::internal, "disk: the volume is away"));
  }
}

void DiskVolume::advance_snapshot(TimePoint now) {
  if (recovery_ || (!snapshot_ && now < next_snapshot_)) return;
  if (!snapshot_ && !begin_snapshot(now)) return;
  std::vector<DiskIndex::Entry> entries;
  Result<void> done;
  for (std::size_t i = 0; i < kShardsAStep && done && snapshot_shard_ < DiskIndex::kShards; ++i) {
    entries.clear();
    index_.copy_shard(snapshot_shard_++, entries);
    for (const DiskIndex::Entry& entry : entries) {
      done = snapshot_->add(entry.hash, entry.place.offset, entry.place.bytes, entry.place.was_hit);
      if (!done) break;
    }
  }
  if (done && snapshot_shard_ < DiskIndex::kShards) return;
  if (done) done = snapshot_->commit();
  snapshot_.reset();
  counters_.add(done ? DiskCount::snapshots : DiskCount::snapshot_errors);
  if (!done) report_fault(own_.get());
}

bool DiskVolume::begin_snapshot(TimePoint now) {
  next_snapshot_ = now + kSnapshotEvery;
  const VolumeCounters& counts = own_->volume->counters();
  const std::uint64_t mark = 1 + counts.written_bytes + counts.reclaimed;
  if (mark == snapshot_mark_) return false;  // nothing has changed
  auto begun = SnapshotWriter::begin(*own_->volume);
  if (!begun) return false;
  snapshot_ = std::make_unique<SnapshotWriter>(std::move(*begun));
  snapshot_shard_ = 0;
  snapshot_mark_ = mark;
  return true;
}

// The writer's last act.
void DiskVolume::finish() {
  if (own_ && (!recovery_ || recovery_->is_started())) {
    write_owed();
    while (state() != DiskState::offline && write_queue()) {
    }
    if (auto flushed = own_->volume->flush(); !flushed) failed_to_write(flushed.error());
    if (!recovery_) {
      snapshot_.reset();
      next_snapshot_ = {};
      do {
        advance_snapshot(clock_.now());
      } while (snapshot_);
    }
    if (auto closed = own_->volume->close(); !closed) failed_to_write(closed.error());
  }
  release();
  const std::lock_guard lock(mutex_);
  go_offline();
}

bool DiskVolume::wants(const FooterEntry& entry, const Location& location) {
  if (entry.kind != NeedleKind::object) return false;
  const std::optional<DiskPlace> place = index_.find(hash_of(entry.key()));
  if (!place || place->offset != own_->volume->file_offset(location)) return false;
  const bool is_marker = (entry.flags & kNeedleVaryMarker) != 0;
  const bool is_expired = !is_marker && entry.stale_at <= clock_.wall().time_since_epoch().count();
  return !is_expired && (place->was_hit || host_.is_resident(entry.key()));
}

bool DiskVolume::confirms(const NeedleView& needle) {
  return !host_.is_dead(needle.sequence(), needle.key_string(), needle.head().tags);
}

void DiskVolume::on_moved(const FooterEntry& entry, const Location& from, const Location& to) {
  index_.move(hash_of(entry.key()), own_->volume->file_offset(from), place_of(to));
}

void DiskVolume::on_dropped(const FooterEntry& entry, const Location& location) {
  if (index_.erase_at(hash_of(entry.key()), own_->volume->file_offset(location))) host_.on_reclaimed(entry);
}

}  // namespace vignette::cache
