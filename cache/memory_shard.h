// One shard of the memory tier: index, small and main queue, ghosts. Not thread-safe: the tier holds the
// shard's mutex around every call, and lets go of what calls hand back after it.
//
// Each queue is S3-FIFO's, kept as one FIFO per power of two of size. Where S3-FIFO takes the oldest of the
// queue, this takes the oldest of the class where age times bytes is greatest (age: insertions since). With
// objects of one size that is S3-FIFO; with a mixture, many small objects outlast one large one.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "cache/ghost.h"
#include "cache/object.h"
#include "cache/reservation.h"
#include "cache/store.h"

namespace vignette::cache {

class MemoryShard {
 public:
  static constexpr std::uint8_t kMaxCount = 3;    // 2-bit counter
  static constexpr std::uint8_t kMoveToMain = 1;  // hits in small that make it stay
  static constexpr std::uint64_t kMainPercent = 90;

  struct Node {
    ObjectRef object;
    Reservation overhead;  // this node, and what the object has not reserved itself
    std::uint64_t bytes = 0;
    Node* previous = nullptr;
    Node* next = nullptr;
    Node* same_bucket = nullptr;
    std::uint32_t entered = 0;  // the shard's count of insertions when it entered its queue
    std::uint32_t hits = 0;     // stops at the greatest number
    std::uint8_t count = 0;
    bool in_main = false;
    bool was_asked = false;  // found at least once
  };

  MemoryShard(std::uint64_t share_bytes, std::uint64_t large_bytes)
      : main_target_(share_bytes / 100 * kMainPercent), large_bytes_(large_bytes) {}
  ~MemoryShard();
  MemoryShard(const MemoryShard&) = delete;
  MemoryShard& operator=(const MemoryShard&) = delete;

  // Null: a miss. Counts, and bumps the object's counter. `is_first`: nobody had asked for it before.
  ObjectRef find(const Key& key, std::string_view key_string, bool* is_first = nullptr);
  ObjectRef peek(const Key& key, std::string_view key_string) const;
  // An object of that hash, whatever its key string.
  bool knows(const Key& key) const { return find_node(key) != nullptr; }
  // Keeps the node's object in its place or in a new one; true: `node` now holds what was replaced.
  // `asked_again`: what it replaces has been asked for, or a ghost knows it.
  bool insert(std::unique_ptr<Node>& node, bool* asked_again = nullptr);
  // As above, but only in place of `old`. False: not there.
  bool replace(const Object& old, std::unique_ptr<Node>& node);
  std::unique_ptr<Node> erase(const Key& key, std::string_view key_string);
  // What find() has just given turned out to be purged: a miss after all. Null: it is gone already.
  std::unique_ptr<Node> drop_purged(const Object& object);
  struct Resident {
    ObjectRef object;
    std::uint32_t hits = 0;  // since it came; a fresher head keeps them
  };
  void append_to(std::vector<Resident>& residents) const;
  // What is to go next; null when the shard is empty.
  std::unique_ptr<Node> evict();
  std::unique_ptr<Node> take_any();

  std::uint64_t bytes() const { return small_.bytes + main_.bytes; }
  std::size_t index_footprint() const { return buckets_.capacity() * sizeof(Node*) + ghosts_.footprint(); }
  void add_to(StoreStats& stats) const;

 private:
  static constexpr std::size_t kClasses = 24;  // up to 1 KiB, 2 KiB, … 4 GiB, beyond
  struct Fifo {
    Node* newest = nullptr;
    Node* oldest = nullptr;
  };
  struct Queue {
    std::array<Fifo, kClasses> classes;
    std::uint64_t bytes = 0;
    std::size_t count = 0;
  };

  static std::size_t class_of(std::uint64_t bytes);
  Queue& queue_of(const Node& node) { return node.in_main ? main_ : small_; }
  void push(Node* node, bool in_main);
  void link(Node* node);
  void unlink(Node* node);
  Node* next_out(const Queue& queue) const;
  std::unique_ptr<Node> evict_from_main();
  std::unique_ptr<Node> evict_from_small();
  Node** find_link(const Key& key);
  const Node* find_node(const Key& key) const;
  void grow_index();
  std::unique_ptr<Node> remove(Node* node);
  void exchange(Node* kept, Node& incoming);
  std::size_t ghost_capacity() const;
  std::size_t bucket_of(const Key& key) const { return hash_(key) & (buckets_.size() - 1); }

  const KeyHash hash_;
  const std::uint64_t main_target_;
  const std::uint64_t large_bytes_;
  std::vector<Node*> buckets_;
  Queue small_, main_;
  std::uint32_t insertions_ = 0;  // into queues; wraps
  GhostQueue ghosts_;
  StoreStats counters_;
};

}  // namespace vignette::cache
