#pragma once

#include <sys/types.h>

#include <cstdint>

namespace vignette::imaging {

// Private resident memory of a process in bytes (mapped files and shared memory not counted); 0 when unknown.
std::uint64_t resident_bytes(pid_t pid);

}  // namespace vignette::imaging
