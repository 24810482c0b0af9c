#include "proxy/process/allocator.h"

#include <cstddef>

// Present when jemalloc is linked in; null otherwise.
extern "C" int mallctl(const char* name, void* old, std::size_t* old_size, void* fresh,
                       std::size_t fresh_size) __attribute__((weak));

// Read by jemalloc when it starts. What objects leave behind goes back to the system after a second, not ten:
// under churn the node held a tenth of its memory budget in such pages.
extern "C" {
const char* malloc_conf = "dirty_decay_ms:1000,muzzy_decay_ms:0";
}

namespace vignette::proxy {
namespace {

template <typename T>
T read_control(const char* name) {
  T value{};
  std::size_t size = sizeof value;
  if (!mallctl || mallctl(name, &value, &size, nullptr, 0) != 0) return T{};
  return value;
}

}  // namespace

std::string allocator_name() {
  const char* version = read_control<const char*>("version");
  return version ? std::string("jemalloc ") + version : "libc";
}

const std::uint64_t* thread_allocated_counter() { return read_control<std::uint64_t*>("thread.allocatedp"); }

std::uint64_t allocated_bytes() {
  if (!mallctl) return 0;
  std::uint64_t epoch = 1;
  std::size_t size = sizeof epoch;
  mallctl("epoch", &epoch, &size, &epoch, size);  // statistics are refreshed by this
  return read_control<std::size_t>("stats.allocated");
}

}  // namespace vignette::proxy
