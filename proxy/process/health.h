// Active health checks: one strand of the main loop per server of each origin that asks for them. A probe is
// a GET; 2xx and 3xx are good. `fall` bad ones in a row bring a server down, `rise` good ones up again; the
// first good one is enough for a server never seen before. Probes begin at once and then keep an interval
// with 20 % jitter. Main-thread only.
#pragma once

#include <map>
#include <memory>

#include "net/worker.h"
#include "proxy/origin/origin_pools.h"
#include "proxy/route/snapshot.h"

namespace vignette::proxy {

struct Node;
class ServerState;
class ServersOrigin;

class HealthChecker {
 public:
  // Both outlive it. Its strands end with it (or with the loop).
  HealthChecker(Node& node, net::Worker& main_loop);
  ~HealthChecker();
  HealthChecker(const HealthChecker&) = delete;
  HealthChecker& operator=(const HealthChecker&) = delete;

  // Starts, changes and ends probing to match the configuration. Servers that are no longer checked count
  // as up.
  void apply(SnapshotRef snapshot);

 private:
  struct Probe;
  struct Shared;
  void add(const SnapshotRef& snapshot, const ServersOrigin& origin, std::size_t index);
  static void take(const std::shared_ptr<Shared>& shared, Probe& probe, const Result<int>& answer);
  static net::Task<void> probe_strand(std::shared_ptr<Shared> shared, std::shared_ptr<Probe> probe);

  net::Worker& loop_;
  std::shared_ptr<Shared> shared_;
  std::map<const ServerState*, std::shared_ptr<Probe>> probes_;
};

}  // namespace vignette::proxy
