#include "net/frame_pool.h"

#include <array>
#include <new>
#include <utility>

namespace vignette::net {

// Seeded mutation: one pool for all threads, which no lock guards.
#if defined(VIGNETTE_MUTATION_SHARED_POOL)
#define VIGNETTE_POOL_STORAGE static
#else
#define VIGNETTE_POOL_STORAGE static thread_local
#endif

#if !defined(VIGNETTE_SANITIZED) || defined(VIGNETTE_FORCE_FRAME_POOL)
namespace {

struct Free {
  Free* next;
};

class Lists {
 public:
  Lists() = default;
  Lists(const Lists&) = delete;
  Lists& operator=(const Lists&) = delete;
  ~Lists() {
    for (Free*& head : heads_) {
      while (head) {
        Free* next = head->next;
        ::operator delete(head);
        head = next;
      }
    }
    cached_ = FramePool::kCachedLimit;  // what is released after this goes to the heap
  }
  void* take(std::size_t size) {
    Free*& head = heads_[index(size)];
    if (!head) return ::operator new(rounded(size));
    cached_ -= rounded(size);
    return std::exchange(head, head->next);
  }
  void give(void* memory, std::size_t size) {
    if (cached_ + rounded(size) > FramePool::kCachedLimit) return ::operator delete(memory);
    cached_ += rounded(size);
    Free*& head = heads_[index(size)];
    head = new (memory) Free{head};
  }
  std::size_t cached() const { return cached_; }

 private:
  static std::size_t index(std::size_t size) { return (size - 1) / FramePool::kStep; }
  static std::size_t rounded(std::size_t size) { return (index(size) + 1) * FramePool::kStep; }

  std::array<Free*, FramePool::kLargest / FramePool::kStep> heads_{};
  std::size_t cached_ = 0;
};

Lists& lists() {
  VIGNETTE_POOL_STORAGE Lists instance;
  return instance;
}

}  // namespace

void* FramePool::allocate(std::size_t size) {
  return size > kLargest ? ::operator new(size) : lists().take(size);
}
void FramePool::release(void* memory, std::size_t size) noexcept {
  if (!memory) return;
  if (size > kLargest) return ::operator delete(memory);
  lists().give(memory, size);
}
std::size_t FramePool::cached_bytes() { return lists().cached(); }

#else

void* FramePool::allocate(std::size_t size) { return ::operator new(size); }
void FramePool::release(void* memory, std::size_t) noexcept { ::operator delete(memory); }
std::size_t FramePool::cached_bytes() { return 0; }

#endif

}  // namespace vignette::net
