#include "cache/memory_shard.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

namespace vignette::cache {
namespace {

constexpr std::size_t kFirstBuckets = 64;
constexpr int kSmallestClassBits = 10;

}  // namespace

MemoryShard::~MemoryShard() {
  while (take_any()) {
  }
}

MemoryShard::Node** MemoryShard::find_link(const Key& key) {
  Node** link = &buckets_[bucket_of(key)];
  while (*link && (*link)->object->key() != key) link = &(*link)->same_bucket;
  return link;
}

const MemoryShard::Node* MemoryShard::find_node(const Key& key) const {
  if (buckets_.empty()) return nullptr;
  const Node* node = buckets_[bucket_of(key)];
  while (node && node->object->key() != key) node = node->same_bucket;
  return node;
}

ObjectRef MemoryShard::find(const Key& key, std::string_view key_string, bool* is_first) {
  auto* node = const_cast<Node*>(find_node(key));
  if (!node || node->object->key_string() != key_string) {
    ++counters_.misses;
    return nullptr;
  }
  ++counters_.hits;
  if (node->count < kMaxCount) ++node->count;
  if (node->hits < std::numeric_limits<std::uint32_t>::max()) ++node->hits;
  const bool was_asked = std::exchange(node->was_asked, true);
  if (is_first) *is_first = !was_asked;
  return node->object;
}

ObjectRef MemoryShard::peek(const Key& key, std::string_view key_string) const {
  const Node* node = find_node(key);
  return node && node->object->key_string() == key_string ? node->object : nullptr;
}

std::size_t MemoryShard::class_of(std::uint64_t bytes) {
  return std::min(static_cast<std::size_t>(std::bit_width(bytes >> kSmallestClassBits)), kClasses - 1);
}

void MemoryShard::push(Node* node, bool in_main) {
  node->in_main = in_main;
  node->entered = ++insertions_;
  link(node);
}

void MemoryShard::link(Node* node) {
  Queue& queue = queue_of(*node);
  Fifo& fifo = queue.classes[class_of(node->bytes)];
  node->previous = nullptr;
  node->next = fifo.newest;
  (fifo.newest ? fifo.newest->previous : fifo.oldest) = node;
  fifo.newest = node;
  queue.bytes += node->bytes;
  ++queue.count;
}

void MemoryShard::unlink(Node* node) {
  Queue& queue = queue_of(*node);
  Fifo& fifo = queue.classes[class_of(node->bytes)];
  (node->previous ? node->previous->next : fifo.newest) = node->next;
  (node->next ? node->next->previous : fifo.oldest) = node->previous;
  queue.bytes -= node->bytes;
  --queue.count;
}

void MemoryShard::grow_index() {
  const std::size_t count = small_.count + main_.count;
  if (count < buckets_.size()) return;
  std::vector<Node*> old(std::max(kFirstBuckets, buckets_.size() * 2));
  old.swap(buckets_);
  for (Node* node : old) {
    while (node) {
      Node* following = node->same_bucket;
      Node*& bucket = buckets_[bucket_of(node->object->key())];
      node->same_bucket = std::exchange(bucket, node);
      node = following;
    }
  }
}

// The node keeps its age and count; what it held goes out through `incoming`.
void MemoryShard::exchange(Node* kept, Node& incoming) {
  const bool moves = class_of(kept->bytes) != class_of(incoming.bytes);
  Queue& queue = queue_of(*kept);
  if (moves) unlink(kept);
  if (!moves) queue.bytes = queue.bytes - kept->bytes + incoming.bytes;
  std::swap(kept->object, incoming.object);
  std::swap(kept->bytes, incoming.bytes);
  std::swap(kept->overhead, incoming.overhead);
  if (moves) link(kept);
  ++counters_.replacements;
}

bool MemoryShard::insert(std::unique_ptr<Node>& node, bool* asked_again) {
  grow_index();
  const Key key = node->object->key();
  Node** link = find_link(key);
  if (*link) {
    if (asked_again) *asked_again = (*link)->was_asked;
    exchange(*link, *node);
    return true;
  }
  const bool was_evicted = ghosts_.take(key.lo, ghost_capacity());
  if (asked_again) *asked_again = was_evicted;
  if (was_evicted) ++counters_.ghost_hits;
  ++counters_.insertions;
  *link = node.release();
  push(*link, was_evicted);
  return false;
}

bool MemoryShard::replace(const Object& old, std::unique_ptr<Node>& node) {
  auto* kept = const_cast<Node*>(find_node(node->object->key()));
  if (!kept || kept->object.get() != &old) return false;
  exchange(kept, *node);
  return true;
}

std::unique_ptr<MemoryShard::Node> MemoryShard::remove(Node* node) {
  unlink(node);
  Node** link = find_link(node->object->key());
  *link = node->same_bucket;
  return std::unique_ptr<Node>(node);
}

std::unique_ptr<MemoryShard::Node> MemoryShard::erase(const Key& key, std::string_view key_string) {
  auto* node = const_cast<Node*>(find_node(key));
  if (!node || node->object->key_string() != key_string) return nullptr;
  ++counters_.erasures;
  return remove(node);
}

std::unique_ptr<MemoryShard::Node> MemoryShard::drop_purged(const Object& object) {
  --counters_.hits;
  ++counters_.misses;
  auto* node = const_cast<Node*>(find_node(object.key()));
  if (!node || node->object.get() != &object) return nullptr;
  ++counters_.purged;
  return remove(node);
}

void MemoryShard::append_to(std::vector<Resident>& residents) const {
  for (const Node* node : buckets_) {
    for (; node; node = node->same_bucket) residents.push_back({node->object, node->hits});
  }
}

std::unique_ptr<MemoryShard::Node> MemoryShard::take_any() {
  Node* node = next_out(small_.count ? small_ : main_);
  return node ? remove(node) : nullptr;
}

// As many as main holds; before it has filled up, as it would hold.
std::size_t MemoryShard::ghost_capacity() const {
  return std::max(main_.count, (small_.count + main_.count) * kMainPercent / 100);
}

// The oldest of the class that holds the most bytes for the longest time.
MemoryShard::Node* MemoryShard::next_out(const Queue& queue) const {
  Node* chosen = nullptr;
  std::uint64_t most = 0;
  for (const Fifo& fifo : queue.classes) {
    if (!fifo.oldest) continue;
    const std::uint64_t age = insertions_ - fifo.oldest->entered + 1;
    if (const std::uint64_t held = age * fifo.oldest->bytes; !chosen || held > most) {
      chosen = fifo.oldest;
      most = held;
    }
  }
  return chosen;
}

std::unique_ptr<MemoryShard::Node> MemoryShard::evict_from_main() {
  while (Node* node = next_out(main_)) {
    if (node->count == 0) {
      ++counters_.evictions_main;
      return remove(node);
    }
    unlink(node);
    --node->count;
    push(node, true);
  }
  return nullptr;
}

// Null: all that was there moved to main.
std::unique_ptr<MemoryShard::Node> MemoryShard::evict_from_small() {
  while (Node* node = next_out(small_)) {
    if (node->count < kMoveToMain) {
      ++(node->bytes > large_bytes_ ? counters_.evictions_large : counters_.evictions_small);
      ghosts_.add(node->object->key().lo, ghost_capacity());
      return remove(node);
    }
    unlink(node);
    node->count = 0;
    push(node, true);
  }
  return nullptr;
}

std::unique_ptr<MemoryShard::Node> MemoryShard::evict() {
  while (small_.count || main_.count) {
    const bool from_main = main_.bytes > main_target_ || small_.count == 0;
    if (auto node = from_main ? evict_from_main() : evict_from_small()) return node;
  }
  return nullptr;
}

void MemoryShard::add_to(StoreStats& stats) const {
  stats.objects += small_.count + main_.count;
  stats.bytes += bytes() + index_footprint();
  stats.hits += counters_.hits;
  stats.misses += counters_.misses;
  stats.insertions += counters_.insertions;
  stats.replacements += counters_.replacements;
  stats.erasures += counters_.erasures;
  stats.evictions_small += counters_.evictions_small;
  stats.evictions_main += counters_.evictions_main;
  stats.evictions_large += counters_.evictions_large;
  stats.ghost_hits += counters_.ghost_hits;
  stats.purged += counters_.purged;
}

}  // namespace vignette::cache
