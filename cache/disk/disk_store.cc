#include "cache/disk/disk_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "cache/purge/identity.h"

namespace vignette::cache {
namespace {

// A picture made from another one can be made again without asking the origin; a chunk of a large object,
// which names its whole in the same way, can not.
bool is_derived(const Object& object) {
  return has_original_tag(object.tags()) && object.key_string().find("\nchunk=") == std::string_view::npos;
}

std::uint64_t mixed(std::uint64_t number) {
  number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9;
  number = (number ^ number >> 27) * 0x94D049BB133111EB;
  return number ^ number >> 31;
}

std::optional<DiskCount> count_of(DiskRefusal refusal) {
  switch (refusal) {
    case DiskRefusal::none:
      break;
    case DiskRefusal::once:
      return DiskCount::refused_once;
    case DiskRefusal::over_budget:
      return DiskCount::refused_budget;
    case DiskRefusal::queue_full:
      return DiskCount::refused_queue_full;
    case DiskRefusal::queue_old:
      return DiskCount::refused_queue_old;
    case DiskRefusal::offline:
      return DiskCount::refused_offline;
    case DiskRefusal::too_large:
      return DiskCount::refused_too_large;
  }
  return std::nullopt;
}

// Waits for every volume: the sum of what they did, or the first error.
class ErasedOfAll {
 public:
  ErasedOfAll(std::size_t volumes, DiskVolume::ErasedDone done) : left_(volumes), done_(std::move(done)) {}

  void add(const Result<Erased>& one) {
    std::unique_lock lock(mutex_);
    if (sum_ && one) {
      sum_->objects += one->objects;
      sum_->copies += one->copies;
      sum_->bytes += one->bytes;
    } else if (sum_) {
      sum_ = one;
    }
    if (--left_ > 0) return;
    lock.unlock();
    done_(sum_);
  }

 private:
  std::mutex mutex_;
  std::size_t left_;
  Result<Erased> sum_ = Erased();
  DiskVolume::ErasedDone done_;
};

}  // namespace

DiskStore::DiskStore(const DiskStoreOptions& options, const DiskHost& host, const Clock& clock, Logger& log)
    : clock_(clock),
      longest_needle_(longest_needle(options.segment_bytes)),
      admission_({.write_bytes_per_day = options.write_bytes_per_day}) {
  VCHECK(options.has_threads || options.pool);
  for (std::size_t i = 0; i < options.disks.size(); ++i) {
    const DiskPath& path = options.disks[i];
    Disk disk;
    disk.weight = static_cast<double>(path.bytes);
    disk.seed = hash64(path.path);
    if (options.has_threads) {
      disk.readers = std::make_unique<BoundedPool>(fmt::format("disk{}", i), kReadersAVolume, kReadQueue);
    }
    DiskVolumeOptions volume;
    volume.path = path.path;
    volume.volume.bytes = path.bytes;
    volume.volume.segment_bytes = options.segment_bytes;
    volume.queue_bytes = options.queue_bytes;
    volume.probe_every = options.probe_every;
    volume.open_directory = options.open_directory;
    TaskPool& pool = options.has_threads ? *disk.readers : *options.pool;
    disk.volume = std::make_unique<DiskVolume>(std::move(volume), host, pool, clock, log);
    disks_.push_back(std::move(disk));
  }
  VCHECK(!disks_.empty());
}

DiskStore::~DiskStore() { stop(); }

// The greatest -weight / ln(u) wins, u in (0, 1) from the hash of key and volume.
DiskVolume& DiskStore::volume_of(const Key& key) const {
  if (disks_.size() == 1) return *disks_.front().volume;
  const Disk* best = nullptr;
  double best_score = -1;
  for (const Disk& disk : disks_) {
    const double u = (static_cast<double>(mixed(key.lo ^ disk.seed) >> 12) + 0.5) / 0x1p52;
    const double score = -disk.weight / std::log(u);
    if (best && score <= best_score) continue;
    best = &disk;
    best_score = score;
  }
  return *best->volume;
}

DiskRefusal DiskStore::judge(const DiskVolume& volume, const Object& object, std::uint64_t bytes,
                             bool asked_again) {
  switch (volume.may_put(bytes)) {
    case DiskPut::queued:
      break;
    case DiskPut::full:
      return DiskRefusal::queue_full;
    case DiskPut::old:
      return DiskRefusal::queue_old;
    case DiskPut::offline:
      return DiskRefusal::offline;
  }
  const AdmissionCandidate candidate{
      .hash = object.key().lo, .bytes = bytes, .asked_again = asked_again, .is_derived = is_derived(object)};
  const std::lock_guard lock(admission_mutex_);
  switch (admission_.judge(candidate, volume.has_unused_space(), volume.objects(), clock_.now())) {
    case Admission::admitted:
      break;
    case Admission::once:
      return DiskRefusal::once;
    case Admission::over_budget:
      return DiskRefusal::over_budget;
  }
  return DiskRefusal::none;
}

bool DiskStore::admits(DiskVolume& volume, const Object& object, std::optional<std::uint32_t> bytes,
                       bool asked_again) {
  const DiskRefusal refusal = bytes ? judge(volume, object, *bytes, asked_again) : DiskRefusal::too_large;
  object.note_disk_refusal(refusal);
  if (const auto counted = count_of(refusal)) volume.counters().add(*counted);
  return refusal == DiskRefusal::none;
}

void DiskStore::put(const ObjectRef& object, DiskOffer offer) {
  DiskVolume& volume = volume_of(object->key());
  const bool keeps_old = offer == DiskOffer::freshened;
  const auto bytes = needle_bytes(*object, longest_needle_);
  const bool is_written = admits(volume, *object, bytes, offer != DiskOffer::first) &&
                          volume.put(object, *bytes, keeps_old) == DiskPut::queued;
  if (!is_written && !keeps_old) volume.bury(object->key());
}

void DiskStore::offer(const ObjectRef& object) {
  DiskVolume& volume = volume_of(object->key());
  if (volume.has(object->key())) return;
  const auto bytes = needle_bytes(*object, longest_needle_);
  if (bytes && admits(volume, *object, bytes, true)) volume.put(object, *bytes, false);
}

DiskResidence DiskStore::residence(const Key& key) const {
  const DiskVolume& volume = volume_of(key);
  const auto owner =
      std::ranges::find_if(disks_, [&](const Disk& disk) { return disk.volume.get() == &volume; });
  DiskResidence residence;
  residence.volume = static_cast<std::size_t>(owner - disks_.begin());
  volume.describe(key, residence);
  return residence;
}

void DiskStore::overwrite_erased(DiskVolume::ErasedDone done) {
  const auto all = std::make_shared<ErasedOfAll>(disks_.size(), std::move(done));
  for (Disk& disk : disks_) {
    disk.volume->overwrite_erased([all](const Result<Erased>& one) { all->add(one); });
  }
}

void DiskStore::clear() {
  for (Disk& disk : disks_) disk.volume->clear();
}

void DiskStore::start() {
  for (Disk& disk : disks_) disk.volume->start();
}

// The readers last: a volume that has stopped gives them nothing more to do. Reads that still waited are
// misses.
void DiskStore::stop() {
  for (Disk& disk : disks_) disk.volume->stop();
  for (Disk& disk : disks_) disk.readers.reset();
}

void DiskStore::step() {
  for (Disk& disk : disks_) disk.volume->step();
}

DiskStats DiskStore::stats() const {
  DiskStats stats;
  for (const Disk& disk : disks_) stats.volumes.push_back(disk.volume->stats());
  return stats;
}

std::uint64_t DiskStore::oldest_sequence() const {
  std::uint64_t oldest = std::numeric_limits<std::uint64_t>::max();
  for (const Disk& disk : disks_) oldest = std::min(oldest, disk.volume->oldest_sequence());
  return oldest;
}

}  // namespace vignette::cache
