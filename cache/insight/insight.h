// What the node's traffic is made of, in fixed memory: the keys with most hits, misses and bytes sent over
// the last ten to twenty minutes, and the miss ratio that other sizes of memory would give.
//
// Each worker records into sketches of its own. A hit costs a countdown, a subtraction and a comparison of
// hash bits; only what these let through takes the recorder's lock, which nobody else holds but a question.
//   hits          the first kExact of a window, then one of kGap on average, which stands for all since
//   bytes         the same of answers, then whoever sends each kByteGap-th byte, which stands for as many
//   misses        all of them
//   the curve     keys by their hash (reuse_curve.h), spread by a secret so that no client chooses which,
//                 gathered here and handed on in batches
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "cache/insight/heavy_hitters.h"
#include "cache/insight/reuse_curve.h"
#include "cache/key.h"

namespace vignette::cache {

enum class TopBy : std::uint8_t { hits, misses, bytes };

// One answer that went through the cache.
struct Seen {
  const Key& key;
  std::string_view key_string;
  bool is_hit = false;
  std::uint64_t sent_bytes = 0;
  std::uint64_t object_bytes = 0;  // that memory would hold; 0: nothing that it keeps
};

// Thread-safe.
class Insight {
 public:
  static constexpr std::chrono::minutes kWindow{10};
  static constexpr std::uint32_t kExact = 1024;
  static constexpr std::uint32_t kGap = 32;
  static constexpr std::int64_t kByteGap = 1 << 20;
  static constexpr std::size_t kBatch = 64;

  class Recorder;

  // `secret` decides which keys are sampled.
  Insight(unsigned workers, std::uint64_t memory_bytes, const HashSecret& secret = process_secret());
  ~Insight();
  Insight(const Insight&) = delete;
  Insight& operator=(const Insight&) = delete;

  Recorder& recorder(unsigned worker) { return *recorders_[worker]; }

  struct Top {
    std::chrono::seconds over{0};  // how far back it looks, at most
    std::vector<HeavyHitter> entries;
  };
  Top top(TopBy by, std::size_t limit, TimePoint now);
  ReuseCurve::Answer what_if();

 private:
  friend class Recorder;
  struct Reference {
    std::uint64_t hash = 0;
    std::uint64_t bytes = 0;
    std::uint32_t times = 0;
  };

  const HashSecret secret_;
  std::mutex curve_mutex_;  // the innermost lock
  ReuseCurve curve_;
  std::atomic<std::uint32_t> bound_;
  std::vector<std::unique_ptr<Recorder>> recorders_;
};

// record(): that worker's thread only; allocates nothing.
class Insight::Recorder {
 public:
  Recorder(Insight& insight, unsigned number);

  void record(const Seen& seen, TimePoint now) {
    passed_ += seen.object_bytes > 0;
    if (seen.is_hit ? --hits_left_ == 0 : true) record_key(seen, now);
    bytes_left_ -= static_cast<std::int64_t>(seen.sent_bytes);
    if (bytes_left_ <= 0) record_bytes(seen, now);
    const std::uint64_t hash = spread(seen.key.hi, seen.key.lo, secret_);
    if (ReuseCurve::place_of(hash) < insight_.bound_.load(std::memory_order_relaxed) &&
        seen.object_bytes > 0) {
      record_reference(hash, seen.object_bytes);
    }
  }

 private:
  friend class Insight;
  struct Window {
    std::array<HeavyHitters, 3> by;  // TopBy
    TimePoint began{};
    std::uint32_t exact_hits = 0;
    std::uint32_t exact_bytes = 0;
  };

  void record_key(const Seen& seen, TimePoint now);
  void record_bytes(const Seen& seen, TimePoint now);
  void record_reference(std::uint64_t hash, std::uint64_t bytes);
  void turn_window(TimePoint now);
  void flush();
  std::uint32_t next_random();
  HeavyHitters& sketch(TopBy by) { return windows_[0]->by[static_cast<std::size_t>(by)]; }

  Insight& insight_;
  const HashSecret secret_;
  // The worker's own.
  std::uint32_t hits_left_ = 1, hits_gap_ = 1;
  std::int64_t bytes_left_ = 1;
  std::uint64_t passed_ = 0;  // references since the last one that was sampled
  std::uint32_t random_;
  // Under the mutex.
  std::mutex mutex_;
  std::array<std::unique_ptr<Window>, 2> windows_;  // this one and the one before
  std::array<Reference, kBatch> batch_;
  std::size_t batched_ = 0;
  std::uint64_t batch_passed_ = 0;
};

}  // namespace vignette::cache
