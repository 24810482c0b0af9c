// Fingerprints of what was evicted from the small queue: a FIFO of bounded age, 8 bytes an entry. Age is
// counted in additions, so an entry leaves by itself when as many others came as the queue may hold. A
// clash of fingerprints lets an object into main too early, nothing more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vignette::cache {

// One user at a time. `capacity`: how many entries count now.
class GhostQueue {
 public:
  void add(std::uint64_t hash, std::size_t capacity);
  // Whether it was there; it is not afterwards.
  bool take(std::uint64_t hash, std::size_t capacity);
  std::size_t footprint() const { return entries_.capacity() * sizeof(Entry); }

 private:
  static constexpr std::size_t kWays = 8;
  struct Entry {
    std::uint32_t fingerprint = 0;  // 0: empty
    std::uint32_t added = 0;
  };
  static std::uint32_t fingerprint_of(std::uint64_t hash);
  Entry* bucket_of(std::uint32_t fingerprint);
  bool is_live(const Entry& entry, std::size_t capacity) const;
  void place(Entry entry, std::size_t capacity);
  void grow(std::size_t capacity);

  std::vector<Entry> entries_;
  std::uint32_t additions_ = 0;
};

}  // namespace vignette::cache
