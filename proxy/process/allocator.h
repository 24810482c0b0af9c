// What the memory allocator says of itself: jemalloc in release builds, nothing in others.
#pragma once

#include <cstdint>
#include <string>

namespace vignette::proxy {

// "jemalloc 5.3.0-…", or "libc".
std::string allocator_name();

// The calling thread's counter of bytes ever allocated; lives as long as the thread. Null without jemalloc.
const std::uint64_t* thread_allocated_counter();

// Bytes in live allocations; 0 without jemalloc.
std::uint64_t allocated_bytes();

}  // namespace vignette::proxy
