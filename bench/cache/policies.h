// The published policies, straightforward and by libCacheSim's conventions, to hold the product's against:
//   * room is made before an insertion: evict while occupied + size > capacity
//   * an object's size is that of its insertion; no bytes of overhead
//   * FIFO and LRU take what fits the capacity; S3-FIFO what is smaller than its small queue
//   * S3-FIFO is the published one (theirs is called S3FIFOv0): small 10 %, ghosts of 90 % counted in bytes
//   of
//     the objects they stand for, to main from the second hit on, counters up to 3 in main
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string_view>
#include <unordered_map>

#include "bench/cache/trace.h"

namespace vignette::bench {

// What is replayed: a cache that is filled on every miss.
class Policy {
 public:
  virtual ~Policy() = default;
  // Whether it was there; it is afterwards, if it fits.
  virtual bool request(const TraceRequest& request) = 0;
};

struct ReplayResult {
  std::uint64_t requests = 0;
  std::uint64_t misses = 0;
  std::uint64_t asked_bytes = 0;
  std::uint64_t missed_bytes = 0;
  double object_miss_ratio() const { return static_cast<double>(misses) / static_cast<double>(requests); }
  double byte_miss_ratio() const {
    return static_cast<double>(missed_bytes) / static_cast<double>(asked_bytes);
  }
};
ReplayResult replay(const Trace& trace, Policy& policy);

using PolicyMaker = std::function<std::unique_ptr<Policy>(std::uint64_t capacity_bytes)>;

// First in, first out; with `on_hit` to the front: LRU.
class QueuePolicy final : public Policy {
 public:
  enum class OnHit : std::uint8_t { nothing, to_front };
  QueuePolicy(std::uint64_t capacity, OnHit on_hit) : capacity_(capacity), on_hit_(on_hit) {}
  bool request(const TraceRequest& request) override;

 private:
  const std::uint64_t capacity_;
  const OnHit on_hit_;
  std::list<TraceRequest> order_;  // newest first
  std::unordered_map<std::uint64_t, std::list<TraceRequest>::iterator> where_;
  std::uint64_t bytes_ = 0;
};

class S3FifoPolicy final : public Policy {
 public:
  explicit S3FifoPolicy(std::uint64_t capacity);
  bool request(const TraceRequest& request) override;

 private:
  struct Entry {
    TraceRequest what;
    int count = 0;
  };
  // A queue whose members can be found and taken out of the middle.
  struct Fifo {
    std::list<Entry> order;  // newest first
    std::unordered_map<std::uint64_t, std::list<Entry>::iterator> where;
    std::uint64_t bytes = 0;
    Entry* find(std::uint64_t id);
    void push(const Entry& entry);
    Entry pop_oldest();
    bool remove(std::uint64_t id);
  };
  void evict();
  void evict_small();
  void evict_main();
  void remember(const TraceRequest& evicted);

  const std::uint64_t capacity_, small_capacity_, main_capacity_, ghost_capacity_;
  Fifo small_, main_, ghosts_;
};

std::unique_ptr<Policy> make_fifo(std::uint64_t capacity_bytes);
std::unique_ptr<Policy> make_lru(std::uint64_t capacity_bytes);
std::unique_ptr<Policy> make_s3fifo(std::uint64_t capacity_bytes);

}  // namespace vignette::bench
