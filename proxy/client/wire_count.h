// Counts a connection's bytes into the node's metrics as they move. Loop-thread only.
#pragma once

#include <cstdint>
#include <utility>

#include "net/stream.h"
#include "proxy/node_metrics.h"

namespace vignette::proxy {

class WireCount {
 public:
  // What has moved since this was last called, records of TLS included. Nothing for a closed stream.
  void add(const net::Stream& stream, NodeMetrics& metrics, unsigned worker) {
    if (!stream) return;
    add(metrics.bytes_received, stream.bytes_received(), received_, worker);
    add(metrics.bytes_sent, stream.bytes_sent(), sent_, worker);
  }

 private:
  static void add(Counter& counter, std::uint64_t total, std::uint64_t& counted, unsigned worker) {
    if (total != counted) counter.add(worker, total - std::exchange(counted, total));
  }

  std::uint64_t received_ = 0;
  std::uint64_t sent_ = 0;
};

}  // namespace vignette::proxy
