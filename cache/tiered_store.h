// Memory and disk as one store. Every object that comes in goes to memory and is offered to the disk; what
// memory has let go is read back, verified, and promoted.
//
//   try_lookup  memory: hit | else on disk: must_wait | miss
//   lookup      one read a key at a time, whoever asks; promoted before anybody is told
//   insert      memory, then the disk's queue (admission decides)
//
// What changes a key (insert, replace_head, erase, a promotion) does so under the stripe's mutex of that key,
// so that memory and disk agree on what is newest. A hit in memory takes none of it, but for an object's
// first hit, which is when the disk hears that it was asked for again.
//
// Without disks it is the memory tier alone. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/disk/disk_store.h"
#include "cache/insight/miss_book.h"
#include "cache/memory_store.h"
#include "cache/purge/purge_book.h"
#include "cache/store.h"

namespace vignette::cache {

class TieredStore final : public Store {
 public:
  // All named must outlive it, the book of purges in `memory` too.
  TieredStore(const MemoryStoreOptions& memory, const DiskStoreOptions& disk, const Clock& clock,
              Logger& log);
  ~TieredStore() override;
  TieredStore(const TieredStore&) = delete;
  TieredStore& operator=(const TieredStore&) = delete;

  Lookup try_lookup(const Key& key, std::string_view key_string) override;
  ObjectRef peek(const Key& key, std::string_view key_string) const override;
  bool may_have(const Key& key, std::string_view key_string) const override;
  const PurgeBook* purges() const override { return memory_.purges(); }
  MissBook* misses() const override { return &misses_; }
  Residence residence(const Key& key, std::string_view key_string) const override;
  ObjectRef inspect(const Key& key, std::string_view key_string) const override;
  void visit(const std::function<void(const Object&)>& visit) const override { memory_.visit(visit); }
  void lookup(const Key& key, std::string_view key_string, Executor& executor,
              std::move_only_function<void(Lookup)> completion) override;
  Insertion insert(ObjectRef object) override;
  bool replace_head(const Object& old, ObjectRef fresh) override;
  bool erase(const Key& key, std::string_view key_string) override;
  void clear() override;
  void overwrite_erased(std::move_only_function<void(Result<Erased>)> done) override;
  Reservation reserve(std::size_t bytes) override { return memory_.reserve(bytes); }
  std::uint64_t max_object_bytes() const override { return memory_.max_object_bytes(); }
  // Of the memory tier, but for hits and misses: who must wait is counted when the disk has answered.
  StoreStats stats() const override;

  // As visit(), with how often each was found since it came.
  void visit_hits(const MemoryStore::HitsVisitor& visit) const { memory_.visit_hits(visit); }
  // As lookup(), but nobody asked: what is on disk comes into memory, and nothing is counted or ranked by it.
  void promote(const Key& key, std::string_view key_string, Executor& executor,
               std::move_only_function<void(Lookup)> completion);

  DiskStats disk_stats() const;
  DiskStore* disk() { return disk_.get(); }  // null: there is none
  // Called on a thread of the disk's that was away and is there again. Before start().
  void set_on_disk_back(std::function<void()> on_back) { on_disk_back_ = std::move(on_back); }
  // The disks begin to be read; until they are, what they hold is unknown.
  void start();
  // Writes what waits for the disks, and posts the answer of every lookup that is under way: call it while
  // their executors live. Afterwards it is the memory tier alone.
  void stop();

 private:
  struct Waiter {
    Executor* executor = nullptr;
    std::move_only_function<void(Lookup)> completion;
    bool is_asked = true;  // by a client: a hit then, and a miss of memory's
  };
  struct Flight {
    std::string key_string;
    std::vector<Waiter> waiters;
  };
  enum class Place : std::uint8_t { first, joined, clash };
  struct alignas(64) Stripe {
    std::mutex mutex;  // before any of memory's or the disk's
    std::unordered_map<Key, Flight, KeyHash> flights;
  };
  static constexpr std::size_t kStripes = 32;  // clear() holds them all, and ThreadSanitizer follows 64
  static constexpr int kAttempts = 3;          // reads for one lookup, when the object moves under it

  Stripe& stripe_of(const Key& key) { return stripes_[(key.hi >> 24) % kStripes]; }
  DiskHost make_host();
  // What leaves memory, a disk or both, into the book of misses.
  void note_leaving(const Object& object, Leaving how);
  void note_purged(const Object& object);
  // Memory judges what it has; this is for what comes from the disk.
  bool is_dead(const Object& object) const { return judge(purges(), object) == Verdict::dead; }
  // Else it must not outlive the process: the journal of purges lacks one that it began after.
  bool may_be_kept(const Object& object) const {
    return !purges() || purges()->may_be_kept(object.sequence());
  }
  void offer_again(const ObjectRef& object);
  // The waiter is told what the disk has.
  void wait_for_read(const Key& key, std::string_view key_string, Waiter waiter);
  // Takes `waiter` unless there is a clash.
  Place join_flight(const Key& key, std::string_view key_string, Waiter& waiter);
  void start_read(const Key& key, std::string key_string, int attempt);
  void end_read(const Key& key, std::string key_string, DiskRead read, int attempt);
  static void post(Executor& executor, std::move_only_function<void(Lookup)> completion, Lookup answer);

  const Clock& clock_;
  mutable MissBook misses_;
  MemoryStore memory_;
  std::array<Stripe, kStripes> stripes_;
  std::atomic<std::uint64_t> unanswered_{0};  // told to wait: misses of memory's that are no answer
  std::atomic<std::uint64_t> disk_hits_{0}, disk_misses_{0};
  std::function<void()> on_disk_back_;
  std::unique_ptr<DiskStore> disk_;  // last: its threads use all of the above
};

}  // namespace vignette::cache
