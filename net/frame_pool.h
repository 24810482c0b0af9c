// Memory of coroutine frames and of the small objects that live as long as a connection: per-thread
// free lists in steps of 64 bytes up to 16 KiB (a frame that holds a list of fields has over 5), capped in
// bytes, so that a request allocates nothing once the lists are warm. Under sanitizers every allocation goes
// to the heap, where mistakes are seen.
#pragma once

#include <cstddef>

namespace vignette::net {

class FramePool {
 public:
  static constexpr std::size_t kStep = 64;
  static constexpr std::size_t kLargest = 16384;
  static constexpr std::size_t kCachedLimit = 8u << 20;  // bytes kept free, a thread

  // Thread-safe; memory may be released on another thread than it came from.
  static void* allocate(std::size_t size);
  static void release(void* memory, std::size_t size) noexcept;
  static std::size_t cached_bytes();  // of the calling thread
};

// Base of classes whose objects come from the pool.
struct Pooled {
  static void* operator new(std::size_t size) { return FramePool::allocate(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { FramePool::release(memory, size); }
};

}  // namespace vignette::net
