// A disk in memory that fails on demand: EIO, ENOSPC, torn writes, bits that flip, slowness, and a crash that
// loses any part of what was not synced. The one stand-in for a disk of all tests in one process.
// Copies are the same disk. Thread-safe; random choices come from the seed alone.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "cache/disk/disk_file.h"

namespace vignette::cache {

class FaultyDisk final : public DiskDirectory {
 public:
  enum class Op : std::uint8_t { open, read, write, sync, allocate };
  static constexpr std::uint64_t kPage = 4096;
  static constexpr std::uint64_t kSector = 512;
  static constexpr std::size_t kWhole = 128;  // headers of volumes and segments are shorter
  static constexpr std::size_t kSkipped = 40;

  explicit FaultyDisk(unsigned seed = 1) : state_(std::make_shared<State>(seed)) {}

  // What a store opens in place of a folder.
  Result<std::unique_ptr<DiskDirectory>> open_folder() const;
  Result<std::unique_ptr<DiskFile>> open(std::string_view name, OpenMode mode) override;
  Result<void> rename(std::string_view from, std::string_view to) override;
  Result<void> remove(std::string_view name) override;

  // Everything open is closed first. Of each page (4 KiB) written since it was synced or waited for the new
  // bytes survive, or the old, or sectors of both.
  void crash();

  // The next `count` operations of that kind fail, after `skip` that do not.
  void fail(Op op, int error, int count = std::numeric_limits<int>::max(), int skip = 0);
  void mend(Op op);
  // Everything works again.
  void heal();
  // A failing write leaves half of its bytes behind.
  void tear_writes(bool tear);
  // One bit of every read is wrong, if that is longer than kWhole: needles and footers, not superblocks.
  void garble_reads(bool garble);
  // Bytes of all files together that can be allocated.
  void set_capacity(std::uint64_t bytes);
  // Whether pread_nowait() finds its pages in memory.
  void set_resident(bool resident);
  // Called before each operation, outside of every lock: a test that blocks here makes the disk slow.
  void set_hook(std::function<void(Op)> hook);
  // Another process holds the locks.
  void set_locked(bool locked);

  bool exists(const std::string& name) const;
  std::string content(const std::string& name) const;
  void set_content(const std::string& name, std::string bytes);  // durable
  void flip_bit(const std::string& name, std::uint64_t byte, unsigned bit);
  std::uint64_t count(Op op) const;

 private:
  struct File {
    std::string now;
    std::string durable;
    std::set<std::uint64_t> dirty;  // pages
  };
  struct Fault {
    int error = 0;
    int count = 0;
    int skip = 0;
  };
  struct State {
    explicit State(unsigned seed) : random(seed) {}
    int begin(Op op);
    void crash(File& file);
    std::uint64_t used() const;

    mutable std::mutex mutex;
    std::map<std::string, std::shared_ptr<File>, std::less<>> files;
    std::map<Op, Fault> faults;
    std::map<Op, std::uint64_t> counts;
    std::function<void(Op)> hook;
    std::mt19937 random;
    std::uint64_t capacity = std::numeric_limits<std::uint64_t>::max();
    bool is_tearing = false;
    bool is_garbling = false;
    bool is_resident = true;
    bool is_locked = false;
  };
  class Handle;

  static std::unexpected<Error> failed(int error) {
    return vignette::fail(Code::io, Blame::internal, "faulty disk", error);
  }
  std::shared_ptr<State> state_;
};

class FaultyDisk::Handle final : public DiskFile {
 public:
  Handle(std::shared_ptr<State> state, std::shared_ptr<File> file)
      : state_(std::move(state)), file_(std::move(file)) {}

  Result<std::size_t> pread(std::span<char> out, std::uint64_t offset) const override {
    if (const int error = state_->begin(Op::read)) return failed(error);
    const std::lock_guard lock(state_->mutex);
    if (out.empty() || offset >= file_->now.size()) return std::size_t{0};
    const std::size_t count = std::min<std::size_t>(out.size(), file_->now.size() - offset);
    std::memcpy(out.data(), file_->now.data() + offset, count);
    if (state_->is_garbling && count > kWhole) out[count - 65] = static_cast<char>(out[count - 65] ^ 1);
    return count;
  }
  // Not at the room's beginning, as where blocks of a device have to be aligned.
  Result<std::string_view> pread_direct(std::span<char> room, std::size_t bytes,
                                        std::uint64_t offset) const override {
    return DiskFile::pread_direct(room.subspan(kSkipped), bytes, offset);
  }
  std::size_t direct_slack() const override { return kSkipped; }
  Result<std::optional<std::size_t>> pread_nowait(std::span<char> out, std::uint64_t offset) const override {
    {
      const std::lock_guard lock(state_->mutex);
      if (!state_->is_resident) return std::nullopt;
    }
    const Result<std::size_t> count = pread(out, offset);
    if (!count) return std::unexpected(count.error());
    return *count;
  }
  Result<void> pwrite(std::string_view bytes, std::uint64_t offset) override {
    const int error = state_->begin(Op::write);
    const std::lock_guard lock(state_->mutex);
    if (error != 0 && !state_->is_tearing) return failed(error);
    if (error != 0) bytes = bytes.substr(0, bytes.size() / 2);
    if (bytes.empty()) return {};
    if (offset + bytes.size() > file_->now.size()) file_->now.resize(offset + bytes.size());
    std::memcpy(file_->now.data() + offset, bytes.data(), bytes.size());
    for (std::uint64_t page = offset / kPage; page * kPage < offset + bytes.size(); ++page) {
      file_->dirty.insert(page);
    }
    if (error != 0) return failed(error);
    return {};
  }
  Result<void> allocate(std::uint64_t offset, std::uint64_t bytes) override {
    if (const int error = state_->begin(Op::allocate)) return failed(error);
    const std::lock_guard lock(state_->mutex);
    const std::uint64_t size = file_->now.size();
    if (offset + bytes <= size) return {};
    if (state_->used() + (offset + bytes - size) > state_->capacity) return failed(ENOSPC);
    file_->now.resize(offset + bytes);
    file_->durable.resize(offset + bytes);
    return {};
  }
  Result<void> truncate(std::uint64_t bytes) override {
    const std::lock_guard lock(state_->mutex);
    file_->now.resize(bytes);
    file_->durable.resize(bytes);
    file_->dirty.erase(file_->dirty.lower_bound((bytes + kPage - 1) / kPage), file_->dirty.end());
    return {};
  }
  Result<void> start_writeback(std::uint64_t, std::uint64_t) override { return {}; }
  Result<void> wait_for_writeback(std::uint64_t offset, std::uint64_t bytes) override {
    if (const int error = state_->begin(Op::sync)) return failed(error);
    const std::lock_guard lock(state_->mutex);
    write_out(offset / kPage, (offset + bytes + kPage - 1) / kPage);
    return {};
  }
  Result<void> sync_data() override {
    if (const int error = state_->begin(Op::sync)) return failed(error);
    const std::lock_guard lock(state_->mutex);
    write_out(0, std::numeric_limits<std::uint64_t>::max());
    return {};
  }
  void advise_random() override {}
  Result<std::uint64_t> size() const override {
    const std::lock_guard lock(state_->mutex);
    return file_->now.size();
  }
  Result<void> lock() override {
    const std::lock_guard lock(state_->mutex);
    if (state_->is_locked) return vignette::fail(Code::refused, Blame::internal, "faulty disk", EWOULDBLOCK);
    return {};
  }

 private:
  // Dirty pages of [from, to), with the lock held.
  void write_out(std::uint64_t from, std::uint64_t to) {
    file_->durable.resize(file_->now.size());
    const auto first = file_->dirty.lower_bound(from);
    const auto last = file_->dirty.lower_bound(to);
    for (auto page = first; page != last; ++page) {
      const std::size_t at = *page * kPage;
      const std::size_t count = std::min<std::size_t>(kPage, file_->now.size() - at);
      std::memcpy(file_->durable.data() + at, file_->now.data() + at, count);
    }
    file_->dirty.erase(first, last);
  }

  std::shared_ptr<State> state_;
  std::shared_ptr<File> file_;
};

// The errno with which it is to fail, or 0.
inline int FaultyDisk::State::begin(Op op) {
  std::function<void(Op)> call;
  {
    const std::lock_guard lock(mutex);
    call = hook;
  }
  if (call) call(op);
  const std::lock_guard lock(mutex);
  ++counts[op];
  const auto found = faults.find(op);
  if (found == faults.end() || found->second.count == 0) return 0;
  if (found->second.skip > 0) {
    --found->second.skip;
    return 0;
  }
  --found->second.count;
  return found->second.error;
}

inline std::uint64_t FaultyDisk::State::used() const {
  std::uint64_t bytes = 0;
  for (const auto& [name, file] : files) bytes += file->now.size();
  return bytes;
}

inline void FaultyDisk::State::crash(File& file) {
  file.durable.resize(file.now.size());
  for (const std::uint64_t page : file.dirty) {
    const unsigned fate = random() % 3;
    for (std::uint64_t at = page * kPage; at < std::min<std::uint64_t>((page + 1) * kPage, file.now.size());
         at += kSector) {
      const bool is_kept = fate == 0 || (fate == 1 && random() % 2 == 0);
      const std::size_t count = std::min<std::size_t>(kSector, file.now.size() - at);
      if (is_kept) std::memcpy(file.durable.data() + at, file.now.data() + at, count);
    }
  }
  file.dirty.clear();
  file.now = file.durable;
}

inline Result<std::unique_ptr<DiskDirectory>> FaultyDisk::open_folder() const {
  if (const int error = state_->begin(Op::open)) return failed(error);
  return std::make_unique<FaultyDisk>(*this);
}

inline Result<std::unique_ptr<DiskFile>> FaultyDisk::open(std::string_view name, OpenMode mode) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->files.find(name);
  std::shared_ptr<File> file = found == state_->files.end() ? nullptr : found->second;
  if (!file && mode == OpenMode::existing) {
    return vignette::fail(Code::not_found, Blame::internal, "faulty disk", ENOENT);
  }
  if (!file || mode == OpenMode::replace) {
    file = std::make_shared<File>();
    state_->files.insert_or_assign(std::string(name), file);
  }
  return std::make_unique<Handle>(state_, file);
}

inline Result<void> FaultyDisk::rename(std::string_view from, std::string_view to) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->files.find(from);
  if (found == state_->files.end()) return failed(ENOENT);
  const std::shared_ptr<File> file = found->second;
  state_->files.erase(found);
  state_->files.insert_or_assign(std::string(to), file);
  return {};
}

inline Result<void> FaultyDisk::remove(std::string_view name) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->files.find(name);
  if (found != state_->files.end()) state_->files.erase(found);
  return {};
}

inline void FaultyDisk::crash() {
  const std::lock_guard lock(state_->mutex);
  for (const auto& [name, file] : state_->files) state_->crash(*file);
}

inline void FaultyDisk::fail(Op op, int error, int count, int skip) {
  const std::lock_guard lock(state_->mutex);
  state_->faults[op] = {error, count, skip};
}

inline void FaultyDisk::mend(Op op) {
  const std::lock_guard lock(state_->mutex);
  state_->faults.erase(op);
}

inline void FaultyDisk::heal() {
  const std::lock_guard lock(state_->mutex);
  state_->faults.clear();
  state_->is_tearing = state_->is_garbling = false;
}

inline void FaultyDisk::tear_writes(bool tear) {
  const std::lock_guard lock(state_->mutex);
  state_->is_tearing = tear;
}

inline void FaultyDisk::garble_reads(bool garble) {
  const std::lock_guard lock(state_->mutex);
  state_->is_garbling = garble;
}

inline void FaultyDisk::set_capacity(std::uint64_t bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->capacity = bytes;
}

inline void FaultyDisk::set_resident(bool resident) {
  const std::lock_guard lock(state_->mutex);
  state_->is_resident = resident;
}

inline void FaultyDisk::set_hook(std::function<void(Op)> hook) {
  const std::lock_guard lock(state_->mutex);
  state_->hook = std::move(hook);
}

inline void FaultyDisk::set_locked(bool locked) {
  const std::lock_guard lock(state_->mutex);
  state_->is_locked = locked;
}

inline bool FaultyDisk::exists(const std::string& name) const {
  const std::lock_guard lock(state_->mutex);
  return state_->files.contains(name);
}

inline std::string FaultyDisk::content(const std::string& name) const {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->files.find(name);
  return found == state_->files.end() ? std::string() : found->second->now;
}

inline void FaultyDisk::set_content(const std::string& name, std::string bytes) {
  const std::lock_guard lock(state_->mutex);
  auto file = std::make_shared<File>();
  file->durable = bytes;
  file->now = std::move(bytes);
  state_->files.insert_or_assign(name, file);
}

inline void FaultyDisk::flip_bit(const std::string& name, std::uint64_t byte, unsigned bit) {
  const std::lock_guard lock(state_->mutex);
  File& file = *state_->files.at(name);
  const auto mask = static_cast<char>(1U << bit);
  file.now.at(byte) = static_cast<char>(file.now.at(byte) ^ mask);
  file.durable.resize(file.now.size());
  file.durable.at(byte) = file.now.at(byte);
}

inline std::uint64_t FaultyDisk::count(Op op) const {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->counts.find(op);
  return found == state_->counts.end() ? 0 : found->second;
}

}  // namespace vignette::cache
