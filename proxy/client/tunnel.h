// A tunnel: bytes between a client and an origin, both ways, until both have ended or one is cut off. What an
// exchange becomes after an upgrade; both ends are given up to it. Loop-thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "net/task.h"
#include "proxy/origin/tunnel_end.h"

namespace vignette::proxy {

struct WorkerContext;

struct TunnelOutcome {
  std::uint64_t to_origin = 0;  // bytes that the other side has taken
  std::uint64_t to_client = 0;
  // Static. Empty: both sides ended in order. tunnel_idle: nothing moved for `idle`; tunnel_stalled: one side
  // took nothing for so long; client_gone, origin_gone; node_stopped: the node ended first.
  std::string_view reason;
};

// Each direction has one piece in hand, of at most what its source gives at once, and asks for the next when
// that has been taken: the slower side sets the pace. An end that one side sends goes to the other, and the
// other direction stays open. A side that is reset, or takes nothing, resets both; otherwise what is cut off
// ends in order. Counts itself in the node's metrics.
net::Task<TunnelOutcome> run_tunnel(WorkerContext& context, std::unique_ptr<TunnelEnd> client,
                                    std::unique_ptr<TunnelEnd> origin, Duration idle);

}  // namespace vignette::proxy
