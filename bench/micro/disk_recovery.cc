// bench_disk_recovery FOLDER [OBJECTS]: how soon a volume of so many small objects is whole after a start,
// from the footers of its segments and from the snapshot of its index, with its files in the page cache and
// without; and what reads got meanwhile. Writes 250 bytes an object below FOLDER and removes them.
#include <fcntl.h>
#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/bounded_pool.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "cache/disk/disk_volume.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

using Seconds = std::chrono::duration<double>;

// Of all threads: what a start takes when nobody else wants the processor.
double processor_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

std::string name_of(std::uint64_t number) { return "bench/" + std::to_string(number); }

ObjectRef make_object(std::uint64_t number) {
  const std::string name = name_of(number);
  ObjectHead head;
  head.request_time = head.response_time = SystemClock().wall();
  head.freshness_lifetime = std::chrono::hours(24);
  return Object::complete(head, hash_key(name), name, name);
}

bool is_object(const Object& object, std::uint64_t number) {
  return object.body_chunks().size() == 1 && object.body_chunks()[0].bytes.view() == name_of(number);
}

class Bench {
 public:
  Bench(std::string folder, std::uint64_t objects) : folder_(std::move(folder)), objects_(objects) {
    options_.path = folder_;
    options_.volume.bytes =
        kSegmentsBegin + (objects * 256 / kDefaultSegmentBytes + 8) * kDefaultSegmentBytes;
  }
  ~Bench() { std::filesystem::remove_all(folder_); }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  // Through the log itself, without an index.
  bool write() {
    auto directory = open_disk_directory(folder_);
    if (!directory) return false;
    auto volume = Volume::open(**directory, options_.volume, clock_, log_);
    if (!volume) return false;
    Recovery recovery(**volume, [](const RecoveredEntry&) {});
    while (recovery.step()) {
    }
    for (std::uint64_t i = 0; i < objects_; ++i) {
      if (!(*volume)->append(*make_object(i))) return false;
    }
    return (*volume)->close().has_value() && (*volume)->file().sync_data().has_value();
  }

  // False: something was wrong or missing.
  bool start(const char* what) {
    BoundedPool readers("readers", 2, 1024);
    DiskVolume volume(options_, {}, readers, clock_, log_);
    Meanwhile meanwhile;
    const TimePoint begun = clock_.now();
    const double processor_begun = processor_seconds();
    volume.start();
    while (volume.state() != DiskState::serving || volume.objects() == 0) read_one(volume, meanwhile);
    const Seconds took = clock_.now() - begun;
    const double processor = processor_seconds() - processor_begun;
    const auto [found, wrong] = sample(volume);
    const DiskVolumeStats stats = volume.stats();
    const double each = static_cast<double>(stats.index_bytes) / static_cast<double>(stats.objects);
    std::ranges::sort(meanwhile.microseconds);
    const auto longest = [&](double share) {
      const auto count = static_cast<double>(meanwhile.microseconds.size() - 1);
      return meanwhile.microseconds[static_cast<std::size_t>(share * count)];
    };
    fmt::print("| {} | {:.2f} | {:.2f} | {} | {:.2f} | {} | {} | {:.0f} | {:.0f} | {:.4f} |\n", what,
               took.count(), processor, stats.objects, each, meanwhile.microseconds.size(), meanwhile.hits,
               longest(0.99), longest(1), static_cast<double>(found) / kSample);
    std::fflush(stdout);
    volume.stop();
    return wrong == 0 && meanwhile.wrong == 0 && found >= kSample * 999 / 1000;
  }

  void forget_snapshot() { std::filesystem::remove(folder_ + "/" + std::string(kSnapshotFile)); }
  void leave_page_cache() {
    for (const std::string_view name : {kVolumeFile, kSnapshotFile}) {
      const UniqueFd file(::open((folder_ + "/" + std::string(name)).c_str(), O_RDONLY | O_CLOEXEC));
      if (!file) continue;
      ::fdatasync(file.get());
      ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
    }
  }

 private:
  static constexpr std::uint64_t kSample = 100'000;
  struct Meanwhile {
    std::vector<double> microseconds;
    std::uint64_t hits = 0, wrong = 0;
  };

  // Waits for the answer.
  ObjectRef look_up(DiskVolume& volume, std::uint64_t number) {
    const std::string name = name_of(number);
    std::atomic<bool> is_answered = false;
    ObjectRef object;
    volume.read(hash_key(name), name, [&](DiskRead read) {
      object = std::move(read.object);
      is_answered.store(true, std::memory_order_release);
      is_answered.notify_one();
    });
    is_answered.wait(false, std::memory_order_acquire);
    return object;
  }

  // One every millisecond: what a start with traffic meets, without taking a core from it.
  void read_one(DiskVolume& volume, Meanwhile& meanwhile) {
    const std::uint64_t number = random_() % objects_;
    const TimePoint asked = clock_.now();
    const ObjectRef object = look_up(volume, number);
    meanwhile.microseconds.push_back(Seconds(clock_.now() - asked).count() * 1e6);
    meanwhile.hits += object ? 1 : 0;
    meanwhile.wrong += object && !is_object(*object, number) ? 1 : 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  std::pair<std::uint64_t, std::uint64_t> sample(DiskVolume& volume) {
    std::uint64_t found = 0, wrong = 0;
    for (std::uint64_t i = 0; i < kSample; ++i) {
      const std::uint64_t number = random_() % objects_;
      const ObjectRef object = look_up(volume, number);
      found += object ? 1 : 0;
      wrong += object && !is_object(*object, number) ? 1 : 0;
    }
    return {found, wrong};
  }

  const std::string folder_;
  const std::uint64_t objects_;
  DiskVolumeOptions options_;
  SystemClock clock_;
  Logger log_{LogLevel::warn};
  std::mt19937_64 random_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    fmt::print("bench_disk_recovery FOLDER [OBJECTS]\n");
    return 2;
  }
  Bench bench(std::string(arguments[1]) + "/bench-disk-recovery",
              count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 10'000'000);
  if (!bench.write()) {
    fmt::print("the volume could not be written\n");
    return 1;
  }
  fmt::print(
      "| start from | s | processor s | objects | index bytes each | reads meanwhile | hits | p99 us | "
      "longest us | found "
      "|\n");
  fmt::print("|---|---|---|---|---|---|---|---|---|---|\n");
  bool is_right = bench.start("footers, cached");
  is_right = bench.start("snapshot, cached") && is_right;
  bench.leave_page_cache();
  is_right = bench.start("snapshot, from the device") && is_right;
  bench.forget_snapshot();
  bench.leave_page_cache();
  is_right = bench.start("footers, from the device") && is_right;
  return is_right ? 0 : 1;
}
