#include "bench/cache/product.h"

#include <algorithm>
#include <bit>
#include <string>

#include "cache/memory_store.h"

namespace vignette::bench {
namespace {

std::string name_of(const TraceRequest& request) { return "trace/" + std::to_string(request.id); }

std::size_t shards_for(std::uint64_t capacity) {
  const std::uint64_t by_size = std::bit_floor(capacity / cache::MemoryStore::kShardBytes);
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(by_size, 1, cache::MemoryStore::kMaxShards));
}

}  // namespace

MemoryTierPolicy::MemoryTierPolicy(std::uint64_t capacity, std::size_t shards) : capacity_(capacity) {
  const std::size_t count = shards ? std::bit_ceil(shards) : shards_for(capacity);
  const std::uint64_t large = std::max(cache::MemoryStore::kLargeObjectBytes, capacity / 100);
  for (std::size_t i = 0; i < count; ++i) {
    shards_.push_back(std::make_unique<cache::MemoryShard>(capacity / count, large));
  }
}

cache::MemoryShard& MemoryTierPolicy::shard_of(const cache::Key& key) {
  return *shards_[(key.hi >> 40) & (shards_.size() - 1)];
}

cache::MemoryShard& MemoryTierPolicy::fullest() {
  auto fuller = [](const auto& a, const auto& b) { return a->bytes() < b->bytes(); };
  return **std::ranges::max_element(shards_, fuller);
}

bool MemoryTierPolicy::find(const TraceRequest& request) {
  const std::string name = name_of(request);
  const cache::Key key = cache::hash_key(name);
  return static_cast<bool>(shard_of(key).find(key, name));
}

void MemoryTierPolicy::insert(const TraceRequest& request) {
  if (request.size > capacity_) return;
  while (bytes_ + request.size > capacity_) {
    const auto evicted = fullest().evict();
    if (!evicted) break;
    bytes_ -= evicted->bytes;
  }
  const std::string name = name_of(request);
  const cache::Key key = cache::hash_key(name);
  auto node = std::make_unique<cache::MemoryShard::Node>();
  node->object = cache::Object::complete({}, key, name, "");
  node->bytes = request.size;
  shard_of(key).insert(node);
  bytes_ += request.size;
}

bool MemoryTierPolicy::request(const TraceRequest& request) {
  if (find(request)) return true;
  insert(request);
  return false;
}

TieredPolicy::TieredPolicy(std::uint64_t disk_bytes, bool admit_all)
    : disk_bytes_(disk_bytes), admit_all_(admit_all), memory_(disk_bytes / 4) {}

bool TieredPolicy::request(const TraceRequest& request) {
  if (memory_.find(request)) {
    offer(request, true);
    return true;
  }
  const bool was_on_disk = on_disk_.contains(request.id);
  memory_.insert(request);
  if (!was_on_disk) offer(request, false);
  return was_on_disk;
}

void TieredPolicy::offer(const TraceRequest& request, bool asked_again) {
  if (on_disk_.contains(request.id)) return;
  const cache::AdmissionCandidate candidate{
      .hash = cache::hash_key(name_of(request)).lo, .bytes = request.size, .asked_again = asked_again};
  const bool unused = written_bytes_ + request.size <= disk_bytes_;
  const auto answer = admission_.judge(candidate, unused, on_disk_.size(), TimePoint());
  if (admit_all_ || answer == cache::Admission::admitted) write(request);
}

void TieredPolicy::write(const TraceRequest& request) {
  if (request.size > disk_bytes_) return;
  while (disk_used_ + request.size > disk_bytes_) {
    disk_used_ -= log_.back().size;
    on_disk_.erase(log_.back().id);
    log_.pop_back();
  }
  log_.push_front(request);
  on_disk_[request.id] = request.size;
  disk_used_ += request.size;
  written_bytes_ += request.size;
}

std::unique_ptr<Policy> make_product(std::uint64_t capacity_bytes) {
  return std::make_unique<MemoryTierPolicy>(capacity_bytes);
}

}  // namespace vignette::bench
