// What has been purged, as epochs: for each purged name the sequence number of the purge. An object carries
// the number at which its fill began; one that is smaller than the epoch of any of its names is dead, also
// when it is stored later or comes back from a disk. A purge costs the same however many objects there are.
//
//   purge(p)   journal: append, fsync  ->  tables: epoch = sequence + 1  ->  publish the sequence  ->  answer
//              a journal that cannot be written holds no purge up: it says so, and is made anew by sync()
//   judge(o)   judged at the current sequence? that verdict : look its names up, remember
//   erase      a purge whose bytes on disks are overwritten too: owed until note_erased(), over restarts
//
// Numbers only grow, over restarts too: they begin at the wall clock's microseconds when a journal is made,
// and everything older than that is dead. So without its journal nothing comes back, and after a loss of it
// nothing does either. While purges are in effect that the journal lacks (is_behind()), what began since them
// must stay away from disks (may_be_kept()): a restart goes on from the journal's last number, and would give
// their numbers to other purges.
//
// Thread-safe. judge() and sequence() never wait for the journal.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "cache/object.h"
#include "cache/purge/prefix_epochs.h"
#include "cache/purge/purge_cause.h"
#include "cache/purge/purge_record.h"
#include "cache/purge/purge_tables.h"

namespace vignette::cache {

class PurgeJournal;

// What a purge names. `name` is a key string for url, a tag's word for tag, the start of a key string for
// prefix.
struct PurgeTarget {
  PurgeKind kind = PurgeKind::everything;
  std::string name;
  std::string origin;  // prefix only: of this origin alone; "": whatever it came from
};

struct PurgeReceipt {
  std::uint64_t sequence = 0;
  WallTime at{};
  // Set: it is in effect, but a restart before the next sync() that succeeds forgets it, because of this.
  std::optional<Error> not_durable = {};
};

enum class Verdict : std::uint8_t { live, stale, dead };

struct PurgeStats {
  std::uint64_t purges = 0;       // since the start
  std::uint64_t refused = 0;      // the book was full
  std::uint64_t not_durable = 0;  // of the purges: when they were answered
  std::uint64_t epochs = 0;       // remembered names
  std::uint64_t prefixes = 0;
  std::uint64_t journal_bytes = 0;
};

class PurgeBook {
 public:
  static constexpr std::size_t kMaxEpochs = std::size_t{1} << 20;  // names; then `exhausted`
  static constexpr std::size_t kMaxPrefixes = 4096;
  static constexpr std::size_t kMaxNameBytes = 16 * 1024;                    // of a target
  static constexpr std::size_t kMaxTargets = 1024;                           // of one purge
  static constexpr std::size_t kCompactJournalBytes = std::size_t{4} << 20;  // and twice what is alive
  // A full book asks for the oldest object no more often than this: that walks over all of memory.
  static constexpr std::chrono::seconds kAskOldestEvery{10};

  struct Limits {
    std::size_t epochs = kMaxEpochs;
    std::size_t prefixes = kMaxPrefixes;
  };

  // A book that lives as long as the process: nothing outlives it that it could name.
  explicit PurgeBook(const Clock& clock);
  PurgeBook(const Clock& clock, Limits limits);
  ~PurgeBook();
  PurgeBook(const PurgeBook&) = delete;
  PurgeBook& operator=(const PurgeBook&) = delete;

  // Before serving: replays `directory`/purges.journal or makes it. Blocks. After damage (not a torn end) a
  // new journal is begun, everything older counts as purged, and `report` says so in one line. Errors: io.
  Result<void> open_journal(const std::string& directory, std::string& report);
  // The least sequence of any object alive in memory and on disk, asked when the book is full: epochs that no
  // object can precede are then forgotten. 0: cannot tell. Set before serving.
  void set_oldest_alive(std::function<std::uint64_t()> oldest_alive);

  // What a fill that begins now carries. Never 0.
  std::uint64_t sequence() const { return sequence_.load(std::memory_order_acquire); }

  // Whether a purge may name these. Errors: limit (a name too long, none, or too many targets).
  static Result<void> check(std::span<const PurgeTarget> targets);
  // Blocks for the fsync: never on a loop. In effect for every later judge() once it has returned, all
  // targets or none. Errors: those of check(), exhausted (too many names remembered; a purge of everything
  // always works, and so do those that are only written), io (mode erase alone: not durable, and not in
  // effect; others are in effect, and the receipt says why they are not durable).
  // `mode` is not erased. Mode erase leaves must_erase() true of what it names until note_erased().
  enum class Durability : std::uint8_t {
    synced,
    written,  // survives the process; a power failure after the next sync(). What is not to be lost: in a
              // full book the older half of the names gives way, and all that is older than they
  };
  Result<PurgeReceipt> purge(std::span<const PurgeTarget> targets, PurgeMode mode,
                             Durability durability = Durability::synced);
  Result<PurgeReceipt> purge(const PurgeTarget& target, PurgeMode mode) {
    return purge(std::span(&target, 1), mode);
  }

  // One load and compare while nothing was purged since the object was judged last. Remembers the verdict in
  // the object; stale ones also since when (Object::stale_since()).
  Verdict judge(const Object& object) const {
    const std::uint64_t now = sequence_.load(std::memory_order_acquire);
    if (object.judged_at() == now) return object.stale_since() ? Verdict::stale : Verdict::live;
    return judge_again(object);
  }
  // The same for what is known of an object without having it (an index entry, a needle, a fill).
  Verdict judge(std::uint64_t sequence, std::string_view key_string, std::string_view tags) const;
  // The greatest hard epoch that names it; 0: none.
  std::uint64_t death_of(std::string_view key_string, std::string_view tags) const;
  // Which purge judge() goes by: the last hard one that names it, else the last soft one. nullopt: it lives.
  std::optional<PurgeCause> cause_of(std::uint64_t sequence, std::string_view key_string,
                                     std::string_view tags) const;

  // Whether its bytes on a disk are to be overwritten: a purge of mode erase named it, and that is still
  // owed.
  bool must_erase(std::uint64_t sequence, std::string_view key_string, std::string_view tags) const;
  // The last purge of which bytes may still have to be overwritten; 0: nothing is owed.
  std::uint64_t owed_epoch() const { return owed_epoch_.load(std::memory_order_acquire); }
  // On every disk all has been overwritten that must_erase() named when owed_epoch() was this. Blocks for the
  // fsync. Errors: io: it goes on being owed.
  Result<void> note_erased(std::uint64_t up_to);

  // Makes durable what was only written, or not even that. Blocks, and holds up no purge meanwhile, unless
  // the journal must be made anew. Errors: io: it is made anew by the next purge or sync().
  Result<void> sync();
  bool is_unsynced() const { return is_unsynced_.load(std::memory_order_relaxed); }
  // Purges are in effect that the journal lacks.
  bool is_behind() const { return is_behind_.load(std::memory_order_relaxed); }
  // Whether what began at this number may outlive the process.
  bool may_be_kept(std::uint64_t sequence) const {
    return sequence <= recorded_.load(std::memory_order_acquire);
  }

  PurgeStats stats() const;

 private:
  static constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();

  Verdict judge_again(const Object& object) const;
  Result<void> make_room(std::span<const PurgeRecord> records, Durability durability);
  void force_room(std::span<const PurgeRecord> records);
  bool has_room(std::span<const PurgeRecord> records) const;
  Result<void> write_journal(std::span<const PurgeRecord> records, Durability durability);
  Result<void> rewrite_journal(std::span<const PurgeRecord> records);
  Result<void> note_written(Result<void> written, std::uint64_t last);
  std::string live_records() const;
  std::unexpected<Error> lost_journal(const Error& error);
  void replay(const PurgeRecord& record);
  void apply(std::span<const PurgeRecord> records, std::uint64_t sequence);
  void forget_before(std::uint64_t oldest);
  void forget_owed(std::uint64_t up_to);

  const Clock& clock_;
  const Limits limits_;
  std::atomic<std::uint64_t> sequence_{1};
  std::function<std::uint64_t()> oldest_alive_;

  std::mutex purging_;  // one purge at a time; outermost; guards the journal
  std::unique_ptr<PurgeJournal> journal_;
  std::optional<Error> journal_fault_;  // it is there and cannot be read: nothing is durable
  bool must_rewrite_ = false;           // its end is not known
  std::optional<TimePoint> asked_oldest_;

  mutable std::shared_mutex mutex_;  // guards the tables; short, no I/O inside
  PurgeTables tables_;
  PurgeTables owed_;  // of purges whose bytes have not been overwritten yet
  std::atomic<std::uint64_t> owed_epoch_{0};
  std::atomic<bool> is_unsynced_{false}, is_behind_{false};
  // The last number that the journal knows of. Without one: any, as nothing then outlives the process that is
  // not dead to the next.
  std::atomic<std::uint64_t> recorded_{kAny};
  std::atomic<std::uint64_t> purges_{0}, refused_{0}, not_durable_{0}, journal_bytes_{0};
};

// Null-tolerant: without a book everything lives.
inline Verdict judge(const PurgeBook* book, const Object& object) {
  return book ? book->judge(object) : Verdict::live;
}
inline std::uint64_t sequence_of(const PurgeBook* book) { return book ? book->sequence() : 0; }

}  // namespace vignette::cache
