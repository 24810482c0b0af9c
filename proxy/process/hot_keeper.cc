#include "proxy/process/hot_keeper.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include "net/offload.h"
#include "net/signal.h"

namespace vignette::proxy {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(20);

struct Arrival {
  net::Signal arrived;
  std::optional<cache::Lookup> lookup;
};

bool are_serving(const cache::DiskStats& disks) {
  return std::ranges::all_of(disks.volumes, [](const cache::DiskVolumeStats& volume) {
    return volume.state == cache::DiskState::serving;
  });
}

}  // namespace

// What tasks of the pool work on, one at a time.
struct HotKeeper::File {
  File(cache::TieredStore& from, Logger& to, std::string where)
      : store(from), log(to), folder(std::move(where)) {}

  std::vector<cache::HotEntry> load() {
    const std::lock_guard lock(mutex);
    auto directory = cache::open_disk_directory(folder);
    if (!directory) return complain(explain(directory.error()));
    auto entries = cache::load_hot_file(**directory);
    return entries ? std::move(*entries) : complain(entries.error());
  }
  // An empty memory has nothing to say that an older list would not say better.
  void save() {
    const std::lock_guard lock(mutex);
    const std::vector<cache::HotEntry> entries = cache::hottest(store, cache::kMaxHotEntries);
    if (entries.empty()) return;
    auto directory = cache::open_disk_directory(folder);
    if (!directory) return static_cast<void>(complain(explain(directory.error())));
    auto saved = cache::save_hot_file(**directory, entries);
    if (!saved) complain(explain(saved.error()));
  }
  std::vector<cache::HotEntry> complain(const std::string& why) {
    faults.fetch_add(1, std::memory_order_relaxed);
    log.error("hot list in {}: {}; memory goes on without it", folder, why);
    return {};
  }

  cache::TieredStore& store;
  Logger& log;
  const std::string folder;
  std::mutex mutex;
  std::atomic<std::uint64_t> faults{0};
};

std::string_view to_string(HotKeeper::Phase phase) {
  switch (phase) {
    case HotKeeper::Phase::waiting:
      return "waiting";
    case HotKeeper::Phase::reading:
      return "reading";
    case HotKeeper::Phase::done:
      return "done";
    case HotKeeper::Phase::cancelled:
      return "cancelled";
  }
  return "unknown";
}

HotKeeper::HotKeeper(net::Worker& loop, TaskPool& pool, cache::TieredStore& store, Logger& log,
                     Options options)
    : loop_(loop),
      pool_(pool),
      store_(store),
      log_(log),
      bytes_per_second_(options.bytes_per_second),
      file_(std::make_shared<File>(store, log, std::move(options.folder))) {}

void HotKeeper::start() { strand_ = loop_.spawn_named("hot-list", strand, std::ref(*this)); }

HotKeeper::Progress HotKeeper::progress() const {
  const std::lock_guard lock(mutex_);
  Progress progress = progress_;
  progress.faults = file_->faults.load(std::memory_order_relaxed);
  return progress;
}

void HotKeeper::publish(Phase phase, const cache::RestoreProgress& restore) {
  const std::lock_guard lock(mutex_);
  progress_.phase = phase;
  progress_.restore = restore;
}

net::Task<void> HotKeeper::strand(HotKeeper& keeper) {
  auto is_read = co_await keeper.read_back();
  if (!is_read) {
    keeper.publish(Phase::cancelled, keeper.progress().restore);
    co_return;
  }
  for (;;) {
    auto slept = co_await net::sleep_for(kSaveEvery);
    if (!slept) co_return;
    auto saved = co_await keeper.save();
    if (!saved) co_return;
  }
}

// False, here and below: the strand was cancelled.
net::Task<bool> HotKeeper::await_disks() {
  const TimePoint deadline = loop_.now() + kRecoveryWait;
  while (!are_serving(store_.disk_stats()) && loop_.now() < deadline) {
    auto slept = co_await net::sleep_for(kPoll);
    if (!slept) co_return false;
  }
  co_return true;
}

net::Task<bool> HotKeeper::load() {
  auto list = co_await net::offload(pool_, [file = file_] { return file->load(); });
  if (list) list_ = std::move(*list);
  if (!list && list.error().code == Code::cancelled) co_return false;
  co_return true;
}

net::Task<bool> HotKeeper::read_back() {
  if (bytes_per_second_ == 0) {
    publish(Phase::done, {});
    co_return true;
  }
  auto is_ready = co_await await_disks();
  if (!is_ready) co_return false;
  auto is_loaded = co_await load();
  if (!is_loaded) co_return false;
  cache::Restore restore(std::move(list_), bytes_per_second_);
  publish(Phase::reading, restore.progress());
  for (;;) {
    const cache::Restore::Step step = restore.next(loop_.now(), store_.stats());
    if (!step.entry) break;
    auto slept = co_await net::sleep_until(step.at);
    if (!slept) co_return false;
    auto found = co_await promote(*step.entry);
    if (!found) co_return false;
    restore.note(*found, loop_.now());
    publish(Phase::reading, restore.progress());
  }
  const cache::RestoreProgress& done = restore.progress();
  publish(Phase::done, done);
  if (done.listed > 0) {
    log_.info("hot list: {} of {} objects read into memory, {} bytes{}", done.objects, done.listed,
              done.bytes, done.is_full ? "; memory is full" : "");
  }
  co_return true;
}

net::Task<Result<cache::Lookup>> HotKeeper::promote(const cache::HotEntry& entry) {
  auto arrival = std::make_shared<Arrival>();
  store_.promote(cache::hash_key(entry.key_string), entry.key_string, loop_, [arrival](cache::Lookup lookup) {
    arrival->lookup = std::move(lookup);
    arrival->arrived.notify_all();
  });
  const TimePoint deadline = loop_.now() + kReadWait;
  while (!arrival->lookup) {
    auto woken = co_await arrival->arrived.wait(deadline);
    if (woken) continue;
    if (woken.error().code == Code::cancelled) co_return std::unexpected(woken.error());
    co_return cache::Lookup{};
  }
  co_return std::move(*arrival->lookup);
}

net::Task<bool> HotKeeper::save() {
  auto saved = co_await net::offload(pool_, [file = file_] { file->save(); });
  co_return saved.has_value() || saved.error().code != Code::cancelled;
}

void HotKeeper::save_last() {
  if (progress().phase == Phase::done) file_->save();
}

}  // namespace vignette::proxy
