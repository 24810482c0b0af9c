// The life of one worker process: warm up, close the sandbox, then one job after another until its socket
// closes.
#pragma once

namespace vignette::imaging {

// Runs in a freshly forked child whose only useful descriptor is `socket` (SOCK_SEQPACKET). Says Hello when
// ready. A job comes as one frame with two descriptors: the sealed source and an empty memfd for the picture;
// a JobResult goes back. Never returns.
[[noreturn]] void worker_main(int socket);

}  // namespace vignette::imaging
