// The disk tier: volumes, each with its share of the keys, and the rules of admission.
//
// A key belongs to one volume, chosen by weighted rendezvous hashing: a volume that is away or was added
// moves no other volume's keys. Its keys are then in memory only.
//
// Threads: a writer a volume, and kReadersAVolume that read what is not in the page cache. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bounded_pool.h"
#include "base/clock.h"
#include "base/log.h"
#include "cache/disk/admission.h"
#include "cache/disk/disk_stats.h"
#include "cache/disk/disk_volume.h"
#include "cache/object.h"

namespace vignette::cache {

struct DiskPath {
  std::string path;         // a folder
  std::uint64_t bytes = 0;  // of the volume in it
};

struct DiskStoreOptions {
  std::vector<DiskPath> disks;
  std::uint64_t write_bytes_per_day = 0;  // 0: no budget
  std::uint32_t segment_bytes = kDefaultSegmentBytes;
  std::uint64_t queue_bytes = std::uint64_t{32} << 20;  // waiting for one volume
  Duration probe_every = kProbeDiskEvery;               // for one that is away
  bool has_threads = true;                              // false: step() by hand, reads on `pool`
  TaskPool* pool = nullptr;                             // without threads
  std::function<Result<std::unique_ptr<DiskDirectory>>(const std::string&)> open_directory =
      open_disk_directory;
};

enum class DiskOffer : std::uint8_t {
  first,        // a fill
  asked_again,  // a fill that a ghost knows, or a hit in memory
  freshened,    // a new head over the same body: without room for it the old one stays
};

class DiskStore {
 public:
  static constexpr unsigned kReadersAVolume = 2;
  static constexpr std::size_t kReadQueue = 1024;  // reads waiting for one volume's readers

  // `clock` and `log` must outlive it. Opens nothing before start() or step().
  DiskStore(const DiskStoreOptions& options, const DiskHost& host, const Clock& clock, Logger& log);
  ~DiskStore();
  DiskStore(const DiskStore&) = delete;
  DiskStore& operator=(const DiskStore&) = delete;

  // Whether a read would in all likelihood find something.
  bool has(const Key& key) const { return volume_of(key).has(key); }
  // Calls `done` exactly once, here or on another thread.
  void read(const Key& key, std::string_view key_string, std::move_only_function<void(DiskRead)> done) {
    volume_of(key).read(key, key_string, std::move(done));
  }
  bool is_current(const Key& key, std::uint64_t token) const { return volume_of(key).is_current(key, token); }
  // For reports: as DiskVolume::describe() and inspect(), which blocks.
  DiskResidence residence(const Key& key) const;
  ObjectRef inspect(const Key& key, std::string_view key_string) const {
    return volume_of(key).inspect(key, key_string);
  }

  // A new object for its key: written if it is admitted; what was there is gone in any case (but see
  // DiskOffer).
  void put(const ObjectRef& object, DiskOffer offer);
  // An object that memory has had for a while: written if it is admitted and not there.
  void offer(const ObjectRef& object);
  // False: there was nothing.
  bool erase(const Key& key) { return volume_of(key).bury(key); }
  // As Store::overwrite_erased(), over all volumes at once.
  void overwrite_erased(DiskVolume::ErasedDone done);
  void clear();

  DiskStats stats() const;
  // The smallest ObjectHead::sequence on any volume; 0: not known.
  std::uint64_t oldest_sequence() const;

  void start();
  // Writes what waits, and snapshots. All reads have been answered when it returns, and later ones find
  // nothing.
  void stop();
  // Without threads: one piece of each writer's work.
  void step();

 private:
  struct Disk {
    std::unique_ptr<BoundedPool> readers;
    std::unique_ptr<DiskVolume> volume;
    double weight = 0;
    std::uint64_t seed = 0;
  };

  DiskVolume& volume_of(const Key& key) const;
  DiskRefusal judge(const DiskVolume& volume, const Object& object, std::uint64_t bytes, bool asked_again);
  // False: it is not to be written; counted, and noted in the object.
  bool admits(DiskVolume& volume, const Object& object, std::optional<std::uint32_t> bytes, bool asked_again);

  const Clock& clock_;
  const std::uint32_t longest_needle_;
  std::mutex admission_mutex_;
  AdmissionPolicy admission_;
  std::vector<Disk> disks_;
};

}  // namespace vignette::cache
