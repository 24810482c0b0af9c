// Shared by the tests of the disk tier: a folder that goes away, and a tiered store that is stepped by hand
// over faulty disks.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/bounded_pool.h"
#include "base/clock.h"
#include "base/log.h"
#include "cache/tiered_store.h"
#include "cache_support.h"
#include "tests/support/faulty_disk.h"

namespace vignette::cache {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "vignette-disk-XXXXXX").string();
    if (::mkdtemp(name.data())) path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A tiered store without threads, under a manual clock. What is on the disks outlives restarts.
struct SteppedTiers {
  explicit SteppedTiers(std::uint64_t memory_bytes = 8 << 20, std::uint64_t disk_bytes = 16 << 20) {
    memory.budget_bytes = memory_bytes;
    memory.shards = 1;
    disk.disks = {{"a", disk_bytes}};
    disk.segment_bytes = 256 * 1024;
    disk.has_threads = false;
    disk.pool = &pool;
    disk.open_directory = [this](const std::string& path) { return (path == "a" ? a : b).open_folder(); };
  }
  // Nothing known of the disk yet; call settle().
  void start() { store = std::make_unique<TieredStore>(memory, disk, clock, log); }
  // As often as anything is to be done.
  void settle() {
    for (int i = 0; i < 200; ++i) store->disk()->step();
  }
  void pass(Duration time) {
    clock.advance(time);
    settle();
  }
  void restart() {
    if (store) store->stop();
    store.reset();
    start();
    settle();
  }
  // Looks it up until there is an answer; null: a miss.
  ObjectRef find(std::string_view name, bool* from_disk = nullptr) {
    Lookup now = store->try_lookup(hash_key(name), name);
    if (now.outcome != Lookup::Outcome::must_wait) return now.object;
    std::optional<Lookup> later;
    store->lookup(hash_key(name), name, executor, [&](Lookup found) { later = std::move(found); });
    for (int i = 0; i < 10 && !later; ++i) {
      pool.run_all();
      executor.run();
    }
    if (later && from_disk) *from_disk = later->from_disk;
    return later ? later->object : nullptr;
  }
  std::uint64_t count(DiskCount which) const { return store->disk_stats().total().count(which); }
  DiskState state() const { return store->disk_stats().volumes.front().state; }

  FaultyDisk a{1}, b{2};
  ManualClock clock;
  Logger log{LogLevel::off};
  SteppedPool pool{64};
  HandExecutor executor;
  MemoryStoreOptions memory;
  DiskStoreOptions disk;
  std::unique_ptr<TieredStore> store;
};

}  // namespace vignette::cache
