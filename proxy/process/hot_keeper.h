// Memory over a restart: keeps the list of the hottest keys beside the journal of purges, and reads what it
// names from the disks into memory again when the node starts.
//
//   start()    wait until the disks have been read -> load the list -> read its objects, paced -> save it
//              every kSaveEvery
//   save_last  at the end; what was cut short by then keeps the list that it began with
//
// Loop-thread only, but for what says otherwise. Outlives the loop's run().
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/bounded_pool.h"
#include "base/log.h"
#include "cache/tiered_store.h"
#include "cache/warm/hot_file.h"
#include "cache/warm/restore.h"
#include "net/task.h"
#include "net/worker.h"

namespace vignette::proxy {

class HotKeeper {
 public:
  static constexpr Duration kSaveEvery = std::chrono::seconds(60);
  static constexpr Duration kRecoveryWait = std::chrono::seconds(30);  // for disks that do not come
  static constexpr Duration kReadWait = std::chrono::seconds(5);       // then it counts as not there

  enum class Phase : std::uint8_t { waiting, reading, done, cancelled };
  struct Progress {
    Phase phase = Phase::waiting;
    cache::RestoreProgress restore;
    std::uint64_t faults = 0;  // lists that could not be read or written
  };

  struct Options {
    std::string folder;
    std::uint64_t bytes_per_second = 0;  // 0: nothing is read back
  };

  // All named outlive it; tasks in `pool` may outlive it.
  HotKeeper(net::Worker& loop, TaskPool& pool, cache::TieredStore& store, Logger& log, Options options);
  HotKeeper(const HotKeeper&) = delete;
  HotKeeper& operator=(const HotKeeper&) = delete;

  void start();
  // Reads and saves nothing any more: for a drain.
  void cancel() { strand_.cancel(); }
  // After run(), while the store has what it had. Blocks.
  void save_last();

  Progress progress() const;  // thread-safe

 private:
  struct File;

  static net::Task<void> strand(HotKeeper& keeper);
  net::Task<bool> await_disks();
  net::Task<bool> load();
  net::Task<bool> read_back();
  net::Task<Result<cache::Lookup>> promote(const cache::HotEntry& entry);
  net::Task<bool> save();
  void publish(Phase phase, const cache::RestoreProgress& restore);

  net::Worker& loop_;
  TaskPool& pool_;
  cache::TieredStore& store_;
  Logger& log_;
  const std::uint64_t bytes_per_second_;
  const std::shared_ptr<File> file_;
  std::vector<cache::HotEntry> list_;
  net::StrandRef strand_;
  mutable std::mutex mutex_;  // guards progress_
  Progress progress_;
};

std::string_view to_string(HotKeeper::Phase phase);

}  // namespace vignette::proxy
