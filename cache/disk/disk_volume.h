// One volume in service: the log, its index, what waits to be written, and the thread that writes.
//
//   offline --opened--> recovering --all read--> serving
//      ^                    |                       |
//      +---- FaultMeter ----+-----------------------+      tried again every probe_every, from scratch
//
// An error of the device counts each time, damage once for a segment and what was written to it: a bad spot,
// or what a crash has torn, costs the objects it hit and not the volume, however many of them there are.
//
//   put ----> queued (pending_, found by reads) --append--> index --reclaim--> gone, or moved in the log
//   bury ---> owed_ (hidden from reads at once) --append_erasure--> nothing of that key comes back
//
// Who wins when several things happen to one key: pending_ holds the newest object, owed_ only keys without
// one, and the index is asked last. Numbers tell a writer that its object was overtaken while it was written.
//
// One mutex guards all of that, held for map operations only. step() belongs to the writer; everything else
// is thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/bounded_pool.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "cache/disk/disk_index.h"
#include "cache/disk/disk_stats.h"
#include "cache/disk/erase_walk.h"
#include "cache/disk/fault_meter.h"
#include "cache/disk/recovery.h"
#include "cache/disk/volume.h"
#include "cache/reservation.h"
#include "cache/residence.h"

namespace vignette::cache {

// What the disk tier asks of the tier above. Thread-safe functions.
struct DiskHost {
  // Bytes of memory for an object that is about to be read; empty: no room.
  std::function<Reservation(std::size_t)> reserve = [](std::size_t) { return Reservation(); };
  // Whether memory holds an object of that key: it is worth keeping on disk too.
  std::function<bool(const Key&)> is_resident = [](const Key&) { return false; };
  // Of an object or a needle: whether a purge has named it, and whether its bytes must be overwritten.
  using PurgeTest =
      std::function<bool(std::uint64_t sequence, std::string_view key_string, std::string_view tags)>;
  PurgeTest is_dead = [](std::uint64_t, std::string_view, std::string_view) { return false; };
  PurgeTest must_erase = is_dead;
  // A volume that was away is there again. On its writer's thread.
  std::function<void()> on_back = [] {};
  // Reclaim has let go of the object that the key stood for.
  std::function<void(const FooterEntry&)> on_reclaimed = [](const FooterEntry&) {};
  bool must_reserve = false;  // an empty reservation means no
};

inline constexpr Duration kProbeDiskEvery = std::chrono::seconds(30);

struct DiskVolumeOptions {
  std::string path;  // of the folder
  VolumeOptions volume;
  std::uint64_t queue_bytes = std::uint64_t{32} << 20;
  Duration probe_every = kProbeDiskEvery;  // while it is away
  std::function<Result<std::unique_ptr<DiskDirectory>>(const std::string&)> open_directory =
      open_disk_directory;
};

// What a read brought. `token` names the place, for is_current().
struct DiskRead {
  ObjectRef object;  // null: a miss, counted by its reason
  std::uint64_t token = 0;
};

enum class DiskPut : std::uint8_t { queued, full, old, offline };

class DiskVolume final : private ReclaimPolicy {
 public:
  static constexpr Duration kSnapshotEvery = std::chrono::seconds(60);
  static constexpr Duration kLiftQuarantineEvery = std::chrono::hours(1);
  static constexpr Duration kOldestQueued = std::chrono::milliseconds(250);
  static constexpr std::uint32_t kMostNowait = 256 * 1024;  // bytes copied on the caller's thread
  static constexpr std::size_t kMostOwed = 64 * 1024;       // erasures that could not be written yet

  // Opens nothing yet: step() does. `pool`, `clock` and `log` must outlive it.
  DiskVolume(DiskVolumeOptions options, DiskHost host, TaskPool& pool, const Clock& clock, Logger& log);
  ~DiskVolume() override;
  DiskVolume(const DiskVolume&) = delete;
  DiskVolume& operator=(const DiskVolume&) = delete;

  bool has(const Key& key) const;
  // Calls `done` exactly once, here or on a thread of the pool.
  void read(const Key& key, std::string_view key_string, std::move_only_function<void(DiskRead)> done);
  // For reports (disk_volume_inspect.cc). inspect() reads the file on the caller's thread and hands out what
  // is there, purged or not; null: nothing of that key, or nothing readable.
  void describe(const Key& key, DiskResidence& residence) const;
  ObjectRef inspect(const Key& key, std::string_view key_string) const;
  // Whether what a read brought is still what the key stands for.
  bool is_current(const Key& key, std::uint64_t token) const;

  // Whether put() would take so many bytes now.
  DiskPut may_put(std::uint64_t bytes) const;
  // `bytes`: of its needle. Takes the place of what was there, at the latest when it is written. When it can
  // not be, the older one goes too, unless `keeps_old`.
  DiskPut put(ObjectRef object, std::uint64_t bytes, bool keeps_old);
  // False: there was nothing.
  bool bury(const Key& key);
  // Empties the volume: the writer makes the file anew.
  void clear();

  bool has_unused_space() const { return has_unused_space_.load(std::memory_order_relaxed); }
  std::uint64_t objects() const { return objects_.load(std::memory_order_relaxed); }
  std::uint64_t weight() const { return options_.volume.bytes; }
  DiskCounters& counters() { return counters_; }
  DiskState state() const { return state_.load(std::memory_order_relaxed); }
  DiskVolumeStats stats() const;
  // The smallest ObjectHead::sequence on it; 0: not known.
  std::uint64_t oldest_sequence() const { return oldest_sequence_.load(std::memory_order_relaxed); }
  // As Store::overwrite_erased(); `done` is called on the writer's thread, or here when the volume is away.
  // While it is read after a start that is waited for.
  using ErasedDone = std::move_only_function<void(Result<Erased>)>;
  void overwrite_erased(ErasedDone done);

  // Starts the writer's thread. Without it, step() is called by hand.
  void start();
  // Writes what waits, a snapshot and the end of the log; ends the thread. Nothing is called after it.
  void stop();
  // One bounded piece of the writer's work; when the next is due.
  TimePoint step();

 private:
  // The directory outlives the volume in it; readers share both while they read.
  struct Opened {
    std::unique_ptr<DiskDirectory> directory;
    std::unique_ptr<Volume> volume;
  };
  using OpenedRef = std::shared_ptr<Opened>;
  struct Pending {
    ObjectRef object;
    std::uint64_t number = 0;
    bool keeps_old = false;
  };
  struct Job {
    Key key;
    std::uint64_t number = 0;
    std::uint64_t bytes = 0;
    TimePoint queued_at;
  };
  struct Reading;
  class PooledRead;

  static std::uint64_t hash_of(const Key& key) { return DiskIndex::hash_of(key); }
  static std::uint64_t token_of(const DiskPlace& place) {
    return place.offset / DiskIndex::kUnit | std::uint64_t{place.generation} << 42;
  }
  static std::uint64_t queued_token(std::uint64_t number) { return std::uint64_t{1} << 63 | number; }

  // With the mutex held.
  void owe(std::uint64_t hash, const Key& key);
  void drop_front();
  void go_offline();

  // Reading (disk_volume_read.cc)
  DiskRead miss(DiskCount why);
  std::optional<DiskRead> read_now(Reading& reading);
  DiskRead read_waiting(Reading& reading);
  DiskRead decode(Reading& reading, std::string_view bytes);
  DiskRead unreadable(const Reading& reading);
  bool forget(const Reading& reading);
  void report_fault(const Opened* opened);
  void report_damage(const Reading& reading);

  // Writing (disk_volume_writer.cc)
  void run();
  void open(TimePoint now);
  Result<OpenedRef> open_volume(bool formats);
  void release();
  void recover();
  void on_recovered(const RecoveredEntry& entry);
  void on_snapshot(std::span<const RecoveredEntry> entries);
  void put_absent(std::span<const RecoveredEntry> entries);
  void write_owed();
  bool write_queue();
  void write_job(const Job& job, const ObjectRef& object);
  bool begin_erasing();
  void erase_some();
  void abandon_erasing();
  void advance_snapshot(TimePoint now);
  bool begin_snapshot(TimePoint now);
  void settle(TimePoint now);
  void lift_quarantine(TimePoint now);
  void finish();
  void appended(const Key& key, const Location& location);
  void failed_to_write(const Error& error);
  void owe_open_segment();
  TimePoint next_due(TimePoint now, bool is_busy) const;
  DiskPlace place_of(const Location& location) const;

  // ReclaimPolicy
  bool wants(const FooterEntry& entry, const Location& location) override;
  bool confirms(const NeedleView& needle) override;
  void on_moved(const FooterEntry& entry, const Location& from, const Location& to) override;
  void on_dropped(const FooterEntry& entry, const Location& location) override;

  const DiskVolumeOptions options_;
  const DiskHost host_;
  TaskPool& pool_;
  const Clock& clock_;
  Logger& log_;
  DiskIndex index_;
  DiskCounters counters_;
  std::atomic<DiskState> state_{DiskState::recovering};
  std::atomic<bool> has_unused_space_{false};
  std::atomic<std::uint64_t> objects_{0};
  std::atomic<std::uint64_t> oldest_sequence_{0};
  std::atomic<std::uint64_t> index_bytes_{0};
  std::atomic<bool> said_offline_{false};

  mutable std::mutex mutex_;  // guards what follows, up to the next comment
  std::condition_variable wake_;
  OpenedRef opened_;  // null while offline
  std::unordered_map<std::uint64_t, Pending, SpreadHash> pending_;
  std::unordered_map<std::uint64_t, Key, SpreadHash> owed_;
  std::deque<Job> queue_;
  std::vector<ErasedDone> erase_wanted_;
  std::uint64_t queue_bytes_ = 0;
  std::uint64_t next_number_ = 0;
  FaultMeter faults_;
  std::unordered_map<std::uint32_t, std::uint32_t> damaged_;  // segment -> its generation when it counted
  bool wants_format_ = false;
  bool is_woken_ = false;
  bool is_stopping_ = false;

  // The writer's own.
  OpenedRef own_;
  std::weak_ptr<Opened> last_;  // until its readers are gone the file cannot be locked again
  std::vector<Key> open_keys_;  // of what was appended to the segment of open_generation_
  std::uint32_t open_generation_ = 0;
  std::unique_ptr<Recovery> recovery_;
  std::unique_ptr<EraseWalk> walk_;
  std::vector<ErasedDone> walk_for_;
  Result<void> walk_result_;  // the first error
  TimePoint next_walk_{};
  std::unique_ptr<SnapshotWriter> snapshot_;
  std::size_t snapshot_shard_ = 0;
  std::uint64_t snapshot_mark_ = 0;  // what had been appended and reclaimed at the last one
  TimePoint next_snapshot_{};
  TimePoint next_lift_{};
  TimePoint next_open_{};
  TimePoint next_settle_{};
  Reservation index_charge_;
  std::thread thread_;
};

}  // namespace vignette::cache
