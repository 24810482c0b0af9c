// What the miss ratio would be with another size of memory: reuse distances in bytes of a sample of the keys
// (SHARDS, FAST'15, of fixed size). A key is sampled by its hash, always or never; when more keys are seen
// than there are places, the bound of the hash is lowered and what is above it forgotten. The distance of a
// reference is its bytes, and those of all sampled keys referenced since its last one over the rate.
//
// It answers for an LRU; the tier misses somewhat less (bench/RESULTS.md).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace vignette::cache {

// One user at a time. A reference allocates nothing.
class ReuseCurve {
 public:
  static constexpr std::size_t kPlaces = 8192;
  static constexpr std::array<double, 6> kFactors = {0.25, 0.5, 1, 2, 4, 8};
  static constexpr std::uint32_t kHashes = 1u << 24;
  // One key in eight at first, so that a quiet node has a curve soon; one in 64 after kEager references, so
  // that a busy one has it cheaply.
  static constexpr std::uint32_t kFirstBound = kHashes / 8;
  static constexpr std::uint32_t kSteadyBound = kHashes / 64;
  static constexpr std::uint32_t kEager = 1u << 16;

  // `memory_bytes`: what factor 1 stands for. The bounds: of sampled hashes, out of kHashes.
  explicit ReuseCurve(std::uint64_t memory_bytes, std::uint32_t first_bound = kFirstBound,
                      std::uint32_t steady_bound = kSteadyBound);

  // The part of a key's hash that decides. A hash that clients can choose is spread (base/hash.h) before it
  // comes here, or they would choose the sample.
  static std::uint32_t place_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 40); }
  std::uint32_t bound() const { return bound_; }

  // A reference to a key with place_of(hash) < bound(); others are ignored.
  void refer(std::uint64_t hash, std::uint64_t bytes, std::uint32_t times = 1);
  // How many references there were in all, sampled or not, since the last call: corrects for a sample that
  // has more or less than its share of them (SHARDS-adj).
  void passed(std::uint64_t references);

  struct Answer {
    double references = 0;  // that the ratios stand on, of the sample
    double sampling_rate = 0;
    std::size_t sampled_objects = 0;
    std::array<double, kFactors.size()> miss_ratios{};
  };
  Answer answer() const;

 private:
  using Slot = std::uint16_t;  // place of a sampled key; kNone: none
  static constexpr Slot kNone = 0xffff;
  static constexpr std::size_t kTimes = 2 * kPlaces;
  static constexpr std::size_t kTable = 4 * kPlaces;
  struct Sample {
    std::uint64_t hash = 0;
    std::uint64_t bytes = 0;
    std::uint32_t time = 0;
  };

  double rate() const { return static_cast<double>(bound_) / kHashes; }
  std::size_t find(std::uint64_t hash) const;  // its place in the table, or where it would go
  void add_bytes(std::uint32_t time, std::uint64_t bytes);
  std::uint64_t bytes_until(std::uint32_t time) const;
  void count_distance(std::uint64_t own_bytes, std::uint64_t sampled_bytes, std::uint32_t times);
  void stamp(Slot slot);
  void renumber();
  void insert(std::uint64_t hash, std::uint64_t bytes);
  void make_room();
  void lower_bound(std::uint32_t bound);
  void forget(Slot slot);
  void weigh(double by);

  const double memory_bytes_;
  const std::uint32_t steady_bound_;
  std::uint32_t bound_;
  std::uint32_t eager_left_ = kEager;
  std::uint32_t now_ = 0;
  std::uint64_t total_bytes_ = 0;
  std::size_t used_ = 0;
  std::vector<Sample> samples_;                       // used_ of them, in no order
  std::vector<Slot> table_;                           // open addressing by hash
  std::vector<Slot> order_;                           // scratch of renumber()
  std::vector<std::uint64_t> sums_;                   // Fenwick tree of bytes by time
  std::array<double, kFactors.size() + 1> counts_{};  // by the smallest factor that holds it; last: none
  double expected_ = 0;                               // references that the sample should have had
};

}  // namespace vignette::cache
