// What a worker may ask of the kernel: memory, threads of its own, its socket and the memfds it was handed.
#pragma once

#include <cstdint>

namespace vignette::imaging {

// Limits, then the seccomp filter: any other system call kills the process. `socket` is the only descriptor
// that may send or receive messages. Threads that exist are filtered too. Cannot be undone. False: the kernel
// refused, do not run.
bool close_sandbox(int socket);

// Lets the process burn `seconds` of processor time from now on; then SIGXCPU ends it. The kernel counts
// cumulatively, so call it before each job.
void allow_cpu_seconds(std::uint32_t seconds);

}  // namespace vignette::imaging
