// bench_disk_index [OBJECTS]: memory an object, and time of puts, finds, growth and of reading a snapshot's
// worth into a reserved index. One thread, as the writer of a volume.
#include <fmt/core.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "cache/disk/disk_index.h"

using vignette::cache::DiskIndex;
using vignette::cache::DiskPlace;

namespace {

// An even 64-bit stream (splitmix64).
std::uint64_t mixed(std::uint64_t number) {
  number += 0x9E3779B97F4A7C15;
  number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9;
  number = (number ^ number >> 27) * 0x94D049BB133111EB;
  return number ^ number >> 31;
}
std::uint64_t hash_number(std::uint64_t number) { return DiskIndex::hash_of({mixed(number), 0}); }
DiskPlace place_number(std::uint64_t number) {
  return {.offset = number * 4096, .bytes = 4096, .generation = static_cast<std::uint16_t>(number)};
}

std::size_t resident_bytes() {
  std::size_t pages = 0, ignored = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%zu %zu", &ignored, &pages) != 2) pages = 0;
    std::fclose(file);
  }
  return pages * 4096;
}

class Stopwatch {
 public:
  void lap(const char* what, std::uint64_t objects) {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    fmt::print("{:<34} {:8.3f} s  {:7.1f} ns each\n", what, seconds,
               seconds * 1e9 / static_cast<double>(objects));
    last_ = std::chrono::steady_clock::now();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace

int main(int count, char** arguments) {
  const std::uint64_t objects = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 10'000'000;
  const std::size_t before = resident_bytes();
  DiskIndex index;
  Stopwatch watch;
  for (std::uint64_t i = 0; i < objects; ++i) index.put(hash_number(i), place_number(i));
  watch.lap("put, growing", objects);
  const auto each = [objects](std::size_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(objects);
  };
  fmt::print("{} objects: {:.2f} bytes each by its own account, {:.2f} of resident memory\n", index.size(),
             each(index.footprint()), each(resident_bytes() - before));
  std::uint64_t lost = 0;
  for (std::uint64_t i = 0; i < objects; ++i) lost += index.find(hash_number(i)) != place_number(i);
  watch.lap("find, all there", objects);
  std::uint64_t false_hits = 0;
  for (std::uint64_t i = objects; i < 2 * objects; ++i) false_hits += index.find(hash_number(i)).has_value();
  watch.lap("find, none there", objects);
  fmt::print("{} lost (by clashes of 44 bits: about {:.1f} expected), {} false hits\n", lost,
             static_cast<double>(objects) * static_cast<double>(objects) / 0x1p45, false_hits);
  std::vector<DiskIndex::Entry> entries;
  for (std::size_t shard = 0; shard < DiskIndex::kShards; ++shard) index.copy_shard(shard, entries);
  watch.lap("copied out, as a snapshot", entries.size());
  DiskIndex restored;
  restored.reserve(entries.size());
  for (const DiskIndex::Entry& entry : entries) restored.put(entry.hash, entry.place);
  watch.lap("put in, reserved, as at a start", entries.size());
  return lost <= 100 && restored.size() == entries.size() ? 0 : 1;
}
