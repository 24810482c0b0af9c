// Reading a hot list's objects from the disks into memory again, hottest first: which is to be read next, and
// when. Paced by bytes, one at a time, so that clients' reads go before it at the disk's readers; and it
// ends when the memory tier is nearly full, so that nothing which clients brought has to go for it.
//
// Decides only; who owns it reads. One thread at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "cache/store.h"
#include "cache/warm/hot_list.h"

namespace vignette::cache {

struct RestoreProgress {
  std::uint64_t listed = 0;
  std::uint64_t looked_at = 0;  // of them
  std::uint64_t objects = 0;    // that were read
  std::uint64_t bytes = 0;      // of memory that they take
  bool is_full = false;         // ended because memory is
};

class Restore {
 public:
  static constexpr std::uint64_t kFullPercent = 90;                     // of the memory tier
  static constexpr Duration kCatchUp = std::chrono::milliseconds(100);  // as much as was slept too long

  struct Step {
    const HotEntry* entry = nullptr;  // to be read at `at`; null: done
    TimePoint at{};
  };

  // `bytes_per_second`: at least 1.
  Restore(std::vector<HotEntry> list, std::uint64_t bytes_per_second);

  // `memory`: as it is now. The entry lives as long as this.
  Step next(TimePoint now, const StoreStats& memory);
  // What the read of that entry brought.
  void note(const Lookup& found, TimePoint now);

  const RestoreProgress& progress() const { return progress_; }

 private:
  const std::vector<HotEntry> list_;
  const std::uint64_t bytes_per_second_;
  TimePoint due_{};
  RestoreProgress progress_;
};

}  // namespace vignette::cache
