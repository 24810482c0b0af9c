// What everybody may ask of a volume: the maps behind its mutex.
#include "cache/disk/disk_volume.h"

#include <utility>

#include "base/thread.h"

namespace vignette::cache {
DiskVolume::DiskVolume(DiskVolumeOptions options, DiskHost host, TaskPool& pool, const Clock& clock,
                       Logger& log)
    : options_(std::move(options)), host_(std::move(host)), pool_(pool), clock_(clock), log_(log) {}

DiskVolume::~DiskVolume() { stop(); }

DiskPlace DiskVolume::place_of(const Location& location) const {
  return {.offset = own_->volume->file_offset(location),
          .bytes = location.bytes,
          .generation = static_cast<std::uint16_t>(location.generation)};
}

bool DiskVolume::has(const Key& key) const {
  const std::uint64_t hash = hash_of(key);
  const std::lock_guard lock(mutex_);
  if (pending_.contains(hash)) return true;
  return opened_ && !owed_.contains(hash) && index_.find(hash).has_value();
}

bool DiskVolume::is_current(const Key& key, std::uint64_t token) const {
  const std::uint64_t hash = hash_of(key);
  const std::lock_guard lock(mutex_);
  const auto pending = pending_.find(hash);
  if (pending != pending_.end()) return token == queued_token(pending->second.number);
  if (!opened_ || owed_.contains(hash)) return false;
  const std::optional<DiskPlace> place = index_.find(hash);
  return place && token == token_of(*place);
}

DiskPut DiskVolume::may_put(std::uint64_t bytes) const {
  const std::lock_guard lock(mutex_);
  if (state() == DiskState::offline || is_stopping_) return DiskPut::offline;
  if (!queue_.empty() && clock_.now() - queue_.front().queued_at > kOldestQueued) return DiskPut::old;
  return queue_bytes_ + bytes > options_.queue_bytes ? DiskPut::full : DiskPut::queued;
}

DiskPut DiskVolume::put(ObjectRef object, std::uint64_t bytes, bool keeps_old) {
  const Key key = object->key();
  const std::uint64_t hash = hash_of(key);
  ObjectRef overtaken;  // let go of after the lock
  const std::lock_guard lock(mutex_);
  if (state() == DiskState::offline || is_stopping_) return DiskPut::offline;
  Pending& pending = pending_[hash];
  overtaken = std::exchange(pending.object, std::move(object));
  // What was to disappear before still has to.
  const bool was_to_go = owed_.erase(hash) != 0 || (overtaken && !pending.keeps_old);
  pending.keeps_old = keeps_old && !was_to_go;
  pending.number = ++next_number_;
  queue_.push_back({key, pending.number, bytes, clock_.now()});
  queue_bytes_ += bytes;
  is_woken_ = true;
  wake_.notify_one();
  return DiskPut::queued;
}

// With the mutex held.
void DiskVolume::owe(std::uint64_t hash, const Key& key) {
  if (owed_.size() >= kMostOwed && !owed_.contains(hash)) {
    counters_.add(DiskCount::erasures_lost);
    return;
  }
  owed_[hash] = key;
  is_woken_ = true;
  wake_.notify_one();
}

bool DiskVolume::bury(const Key& key) {
  const std::uint64_t hash = hash_of(key);
  ObjectRef overtaken;  // let go of after the lock
  const std::lock_guard lock(mutex_);
  const auto pending = pending_.find(hash);
  const bool was_queued = pending != pending_.end();
  if (was_queued) {
    overtaken = std::move(pending->second.object);
    pending_.erase(pending);
  }
  const bool was_hidden = owed_.contains(hash);
  const bool was_stored = index_.erase(hash).has_value() && !was_hidden;
  // Recovery, or a volume that comes back, may still bring what this process has never seen.
  if (was_queued || was_stored || state() != DiskState::serving) owe(hash, key);
  return was_queued || was_stored;
}

void DiskVolume::clear() {
  decltype(pending_) pending;
  OpenedRef opened;
  {
    const std::lock_guard lock(mutex_);
    pending.swap(pending_);
    opened.swap(opened_);
    owed_.clear();
    damaged_.clear();
    queue_.clear();
    queue_bytes_ = 0;
    index_.clear();
    wants_format_ = true;
    is_woken_ = true;
  }
  wake_.notify_one();
}

void DiskVolume::overwrite_erased(ErasedDone done) {
  {
    const std::lock_guard lock(mutex_);
    if (state() != DiskState::offline && !is_stopping_) {
      erase_wanted_.push_back(std::move(done));
      is_woken_ = true;
      wake_.notify_one();
      return;
    }
  }
  done(fail(Code::unavailable, Blame::internal, "disk: the volume is away"));
}

void DiskVolume::start() {
  thread_ = start_thread("disk-writer", [this] { run(); });
}

void DiskVolume::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(is_stopping_, true)) return;
  }
  wake_.notify_one();
  if (thread_.joinable()) {
    thread_.join();
  } else {
    finish();
  }
}

DiskVolumeStats DiskVolume::stats() const {
  DiskVolumeStats stats;
  stats.path = options_.path;
  stats.state = state();
  stats.counts = counters_.read();
  stats.index_bytes = index_bytes_.load(std::memory_order_relaxed);
  stats.objects = index_.size();
  const std::lock_guard lock(mutex_);
  stats.queued_objects = pending_.size();
  stats.queued_bytes = queue_bytes_;
  if (!opened_) return stats;
  const Volume& volume = *opened_->volume;
  const VolumeCounters& counts = volume.counters();
  stats.bytes = volume.bytes();
  stats.used_bytes = volume.bytes() - counts.segments_free * volume.segment_bytes();
  stats.appended_bytes = counts.appended_bytes;
  stats.kept_bytes = counts.kept_bytes;
  stats.segments_quarantined = counts.segments_quarantined;
  return stats;
}

}  // namespace vignette::cache
