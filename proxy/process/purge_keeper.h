// Keeps what purges have promised, beside the requests: makes durable within a second what the answers to
// unsafe methods invalidated (their journal records are not waited for), or what the journal could not be
// written for, and goes on with overwriting what an erasing purge named when the process or a disk went away
// in the middle.
#pragma once

#include <chrono>
#include <optional>

#include "base/bounded_pool.h"
#include "base/clock.h"
#include "base/log.h"
#include "cache/purge/purge_book.h"
#include "cache/tiered_store.h"
#include "net/worker.h"

namespace vignette::proxy {

// Loop-thread only, but for what the disks call. All that is named must outlive it, and the store must have
// stopped before it goes.
class PurgeKeeper {
 public:
  static constexpr Duration kSyncEvery = std::chrono::seconds(1);
  static constexpr Duration kTellEvery = std::chrono::minutes(1);  // while that fails

  // Before the store is started.
  PurgeKeeper(cache::PurgeBook& book, cache::TieredStore& store, TaskPool& pool, net::Worker& loop,
              Logger& log);
  PurgeKeeper(const PurgeKeeper&) = delete;
  PurgeKeeper& operator=(const PurgeKeeper&) = delete;

  // Once the store is started and the journal open.
  void start();
  // After the loop has ended. Blocks.
  void finish();

 private:
  static net::Task<void> sync_strand(PurgeKeeper& keeper);
  void erase_owed();  // on any thread
  void note(const Result<void>& synced);

  cache::PurgeBook& book_;
  cache::TieredStore& store_;
  TaskPool& pool_;
  net::Worker& loop_;
  Logger& log_;
  std::optional<TimePoint> told_;  // when, of the fault that lasts
};

}  // namespace vignette::proxy
