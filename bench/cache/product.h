// The product's own classes under a trace: every object counts with the size that the trace gives it, and
// has no bytes, so that a tier of gigabytes is replayed in megabytes.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "bench/cache/policies.h"
#include "cache/disk/admission.h"
#include "cache/memory_shard.h"

namespace vignette::bench {

// cache::MemoryShard, as many as cache::MemoryStore would have unless told; room is made in the fullest one.
class MemoryTierPolicy final : public Policy {
 public:
  explicit MemoryTierPolicy(std::uint64_t capacity, std::size_t shards = 0);
  bool request(const TraceRequest& request) override;
  // The two halves of request().
  bool find(const TraceRequest& request);
  void insert(const TraceRequest& request);

 private:
  cache::MemoryShard& fullest();
  cache::MemoryShard& shard_of(const cache::Key& key);

  const std::uint64_t capacity_;
  std::vector<std::unique_ptr<cache::MemoryShard>> shards_;
  std::uint64_t bytes_ = 0;
};

// A memory tier of a quarter of the size of a disk that is written in order; what is on disk is counted as
// there. With `admit_all` every fill is written, otherwise cache::AdmissionPolicy decides.
class TieredPolicy final : public Policy {
 public:
  TieredPolicy(std::uint64_t disk_bytes, bool admit_all);
  bool request(const TraceRequest& request) override;
  std::uint64_t written_bytes() const { return written_bytes_; }

 private:
  void offer(const TraceRequest& request, bool asked_again);
  void write(const TraceRequest& request);

  const std::uint64_t disk_bytes_;
  const bool admit_all_;
  MemoryTierPolicy memory_;
  cache::AdmissionPolicy admission_{{}};
  std::list<TraceRequest> log_;                               // newest first
  std::unordered_map<std::uint64_t, std::uint64_t> on_disk_;  // id: bytes
  std::uint64_t disk_used_ = 0;
  std::uint64_t written_bytes_ = 0;
};

std::unique_ptr<Policy> make_product(std::uint64_t capacity_bytes);

}  // namespace vignette::bench
