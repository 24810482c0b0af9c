#include "bench/cache/policies.h"

#include <algorithm>

namespace vignette::bench {
namespace {

constexpr double kSmallRatio = 0.10;
constexpr double kGhostRatio = 0.90;
constexpr int kMoveToMain = 2;
constexpr int kMaxCount = 3;

// The published rows were counted with products of doubles, cut.
std::uint64_t part(std::uint64_t capacity, double ratio) {
  return static_cast<std::uint64_t>(static_cast<double>(capacity) * ratio);
}

}  // namespace

ReplayResult replay(const Trace& trace, Policy& policy) {
  ReplayResult result;
  for (const TraceRequest& request : trace) {
    ++result.requests;
    result.asked_bytes += request.size;
    if (policy.request(request)) continue;
    ++result.misses;
    result.missed_bytes += request.size;
  }
  return result;
}

bool QueuePolicy::request(const TraceRequest& request) {
  if (auto found = where_.find(request.id); found != where_.end()) {
    if (on_hit_ == OnHit::to_front) order_.splice(order_.begin(), order_, found->second);
    return true;
  }
  if (request.size > capacity_) return false;
  while (bytes_ + request.size > capacity_) {
    bytes_ -= order_.back().size;
    where_.erase(order_.back().id);
    order_.pop_back();
  }
  order_.push_front(request);
  where_[request.id] = order_.begin();
  bytes_ += request.size;
  return false;
}

S3FifoPolicy::S3FifoPolicy(std::uint64_t capacity)
    : capacity_(capacity),
      small_capacity_(part(capacity, kSmallRatio)),
      main_capacity_(capacity - small_capacity_),
      ghost_capacity_(part(capacity, kGhostRatio)) {}

S3FifoPolicy::Entry* S3FifoPolicy::Fifo::find(std::uint64_t id) {
  auto found = where.find(id);
  return found == where.end() ? nullptr : &*found->second;
}

void S3FifoPolicy::Fifo::push(const Entry& entry) {
  order.push_front(entry);
  where[entry.what.id] = order.begin();
  bytes += entry.what.size;
}

S3FifoPolicy::Entry S3FifoPolicy::Fifo::pop_oldest() {
  const Entry oldest = order.back();
  remove(oldest.what.id);
  return oldest;
}

bool S3FifoPolicy::Fifo::remove(std::uint64_t id) {
  auto found = where.find(id);
  if (found == where.end()) return false;
  bytes -= found->second->what.size;
  order.erase(found->second);
  where.erase(found);
  return true;
}

bool S3FifoPolicy::request(const TraceRequest& request) {
  if (Entry* entry = small_.find(request.id)) {
    ++entry->count;
    return true;
  }
  const bool was_evicted = ghosts_.remove(request.id);
  if (Entry* entry = main_.find(request.id)) {
    ++entry->count;
    return true;
  }
  if (request.size > small_capacity_) return false;
  while (small_.bytes + main_.bytes + request.size > capacity_) evict();
  if (was_evicted) {
    main_.push({request});
  } else if (request.size < small_capacity_) {
    small_.push({request});
  }
  return false;
}

void S3FifoPolicy::evict() {
  if (main_.bytes > main_capacity_ || small_.bytes == 0) {
    evict_main();
  } else {
    evict_small();
  }
}

void S3FifoPolicy::evict_small() {
  while (small_.bytes > 0) {
    const Entry oldest = small_.pop_oldest();
    if (oldest.count < kMoveToMain) return remember(oldest.what);
    main_.push({oldest.what});
  }
}

void S3FifoPolicy::evict_main() {
  while (main_.bytes > 0) {
    Entry oldest = main_.pop_oldest();
    if (oldest.count == 0) return;
    oldest.count = std::min(oldest.count, kMaxCount) - 1;
    main_.push(oldest);
  }
}

void S3FifoPolicy::remember(const TraceRequest& evicted) {
  if (ghosts_.find(evicted.id) || evicted.size > ghost_capacity_) return;
  while (ghosts_.bytes + evicted.size > ghost_capacity_) ghosts_.pop_oldest();
  ghosts_.push({evicted});
}

std::unique_ptr<Policy> make_fifo(std::uint64_t capacity_bytes) {
  return std::make_unique<QueuePolicy>(capacity_bytes, QueuePolicy::OnHit::nothing);
}
std::unique_ptr<Policy> make_lru(std::uint64_t capacity_bytes) {
  return std::make_unique<QueuePolicy>(capacity_bytes, QueuePolicy::OnHit::to_front);
}
std::unique_ptr<Policy> make_s3fifo(std::uint64_t capacity_bytes) {
  return std::make_unique<S3FifoPolicy>(capacity_bytes);
}

}  // namespace vignette::bench
