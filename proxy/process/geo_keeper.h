// Keeps the geo databases what their files are: the files are looked at every [geo] `poll`, one that has
// changed is opened off the loop and takes its database's place at every worker. A file that cannot be used
// changes nothing: it is told of once, counted, and opened again when it has changed, or an hour later.
//
// A database that is no longer in use is unmapped by the thread of the next look, not by a loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/bounded_pool.h"
#include "base/metrics.h"
#include "conf/config.h"
#include "geo/databases.h"
#include "net/worker.h"
#include "proxy/node.h"
#include "proxy/process/file_watch.h"

namespace vignette::proxy {

// Loop-thread only. Outlives the loop's run().
class GeoKeeper final : private WatchedFiles {
 public:
  // Puts a set to use; never null.
  using Apply = std::function<void(const geo::DatabasesRef&)>;

  // `pool` is where files are read. Both outlive it, and tasks in the pool may outlive it, but not the node.
  GeoKeeper(Node& node, net::Worker& loop, TaskPool& pool, Apply apply);
  GeoKeeper(const GeoKeeper&) = delete;
  GeoKeeper& operator=(const GeoKeeper&) = delete;

  // This configuration and its databases are in use, and its files are looked at from now on; what is being
  // looked at for another is dropped.
  void adopt(std::shared_ptr<const conf::Config> config, geo::DatabasesRef databases);
  const geo::DatabasesRef& in_use() const { return databases_; }

 private:
  net::Task<void> look() override;
  std::function<std::vector<geo::Change>()> looking();
  void take(const std::vector<geo::Change>& changes);
  void refuse(const geo::Change& change);
  void use(geo::DatabasesRef databases);

  // Until then a file that was refused, and has not changed, is not opened again.
  static constexpr Duration kTryAgainAfter = std::chrono::hours(1);

  Node& node_;
  net::Worker& loop_;
  TaskPool& pool_;
  const Apply apply_;
  geo::BadRecordReports reports_;
  geo::ByKind<Gauge*> built_{};
  geo::ByKind<Counter*> replaced_{};
  geo::ByKind<Counter*> refusals_{};
  std::shared_ptr<const conf::Config> config_;
  geo::DatabasesRef databases_;
  geo::ByKind<std::optional<FileMark>> refused_;
  TimePoint try_again_at_{};
  std::vector<geo::DatabasesRef> retired_;  // until the next look
  FileWatch watch_;
};

}  // namespace vignette::proxy
