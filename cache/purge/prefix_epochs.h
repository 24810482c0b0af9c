// Epochs of purged prefixes. Looking a text up costs one binary search however many prefixes are nested: each
// entry carries what its own prefixes say. Not thread-safe: PurgeBook guards it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace vignette::cache {

// When a name was purged, in both modes; 0: never.
struct PurgeEpoch {
  std::uint64_t hard = 0;
  std::uint64_t soft = 0;
  WallTime soft_at{};  // of the soft one
  WallTime hard_at{};  // of the hard one, where it is still known

  std::uint64_t latest() const { return hard > soft ? hard : soft; }
  void raise(const PurgeEpoch& other) {
    if (other.hard > hard) {
      hard = other.hard;
      hard_at = other.hard_at;
    }
    if (other.soft > soft) {
      soft = other.soft;
      soft_at = other.soft_at;
    }
  }
};

class PrefixEpochs {
 public:
  // Seen by find() after the next link(), which is linear in the number of prefixes.
  void raise(std::string_view prefix, const PurgeEpoch& epoch);
  void link();
  // What the prefixes of `text` say together.
  PurgeEpoch find(std::string_view text) const;
  void forget_before(std::uint64_t oldest);  // epochs not above it
  std::size_t size() const { return entries_.size(); }
  bool contains(std::string_view prefix) const;
  void for_each(const std::function<void(std::string_view, const PurgeEpoch&)>& visit) const;

 private:
  struct Entry {
    std::string prefix;
    PurgeEpoch own;
    PurgeEpoch effective;           // with all that are prefixes of this one
    std::ptrdiff_t parent = kNone;  // the longest of those
  };
  static constexpr std::ptrdiff_t kNone = -1;

  std::vector<Entry> entries_;  // sorted
};

}  // namespace vignette::cache
