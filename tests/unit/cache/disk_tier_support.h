// Shared by the tests of the disk tier: a folder that goes away, a disk whose reads and writes fail on
// demand, and a tiered store that is stepped by hand.
#pragma once

#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/bounded_pool.h"
#include "base/clock.h"
#include "base/log.h"
#include "cache/tiered_store.h"
#include "cache_support.h"

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

// What is wrong with a disk, and how often it was asked. Thread-safe.
struct DiskTrouble {
  std::atomic<bool> fails_reads{false};
  std::atomic<bool> fails_writes{false};
  std::atomic<bool> fails_open{false};
  std::atomic<bool> is_cold{false};   // nothing is in the page cache
  std::atomic<bool> corrupts{false};  // one bit of what is read is wrong
  std::atomic<int> reads{0};
};

class TroubledFile final : public DiskFile {
 public:
  TroubledFile(std::unique_ptr<DiskFile> file, DiskTrouble& trouble)
      : file_(std::move(file)), trouble_(trouble) {}

  Result<std::size_t> pread(std::span<char> out, std::uint64_t offset) const override {
    ++trouble_.reads;
    if (trouble_.fails_reads) return broken();
    auto got = file_->pread(out, offset);
    if (trouble_.corrupts && got && *got > 200) out[*got - 65] = static_cast<char>(out[*got - 65] ^ 1);
    return got;
  }
  Result<std::optional<std::size_t>> pread_nowait(std::span<char> out, std::uint64_t offset) const override {
    if (trouble_.is_cold) return std::nullopt;
    auto got = pread(out, offset);
    if (!got) return std::unexpected(got.error());
    return std::optional(*got);
  }
  Result<void> pwrite(std::string_view bytes, std::uint64_t offset) override {
    return trouble_.fails_writes ? broken() : file_->pwrite(bytes, offset);
  }
  Result<void> allocate(std::uint64_t offset, std::uint64_t bytes) override {
    return file_->allocate(offset, bytes);
  }
  Result<void> truncate(std::uint64_t bytes) override { return file_->truncate(bytes); }
  Result<void> start_writeback(std::uint64_t offset, std::uint64_t bytes) override {
    return file_->start_writeback(offset, bytes);
  }
  Result<void> wait_for_writeback(std::uint64_t offset, std::uint64_t bytes) override {
    return file_->wait_for_writeback(offset, bytes);
  }
  Result<void> sync_data() override { return trouble_.fails_writes ? broken() : file_->sync_data(); }
  void advise_random() override { file_->advise_random(); }
  Result<std::uint64_t> size() const override { return file_->size(); }
  Result<void> lock() override { return file_->lock(); }

 private:
  static std::unexpected<Error> broken() { return fail(Code::io, Blame::internal, "broken disk", EIO); }
  std::unique_ptr<DiskFile> file_;
  DiskTrouble& trouble_;
};

class TroubledDirectory final : public DiskDirectory {
 public:
  TroubledDirectory(std::unique_ptr<DiskDirectory> directory, DiskTrouble& trouble)
      : directory_(std::move(directory)), trouble_(trouble) {}
  Result<std::unique_ptr<DiskFile>> open(std::string_view name, OpenMode mode) override {
    auto file = directory_->open(name, mode);
    if (!file) return file;
    return std::make_unique<TroubledFile>(std::move(*file), trouble_);
  }
  Result<void> rename(std::string_view from, std::string_view to) override {
    return directory_->rename(from, to);
  }
  Result<void> remove(std::string_view name) override { return directory_->remove(name); }

 private:
  std::unique_ptr<DiskDirectory> directory_;
  DiskTrouble& trouble_;
};

inline auto troubled(DiskTrouble& trouble) {
  return [&trouble](const std::string& path) -> Result<std::unique_ptr<DiskDirectory>> {
    if (trouble.fails_open) return fail(Code::io, Blame::internal, "no such disk", ENODEV);
    auto directory = open_disk_directory(path);
    if (!directory) return directory;
    return std::make_unique<TroubledDirectory>(std::move(*directory), trouble);
  };
}

// A tiered store without threads, under a manual clock. The folder, and what is in it, outlives restarts.
struct SteppedTiers {
  explicit SteppedTiers(std::uint64_t memory_bytes = 8 << 20, std::uint64_t disk_bytes = 16 << 20) {
    memory.budget_bytes = memory_bytes;
    memory.shards = 1;
    disk.disks = {{folder.path() + "/a", disk_bytes}};
    disk.segment_bytes = 256 * 1024;
    disk.has_threads = false;
    disk.pool = &pool;
    disk.open_directory = troubled(trouble);
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

  TemporaryFolder folder;
  DiskTrouble trouble;
  ManualClock clock;
  Logger log{LogLevel::off};
  SteppedPool pool{64};
  HandExecutor executor;
  MemoryStoreOptions memory;
  DiskStoreOptions disk;
  std::unique_ptr<TieredStore> store;
};

}  // namespace vignette::cache
