// Keeps the geo databases what their files are: looks at the files every [geo] `interval`, opens one that has
// changed on a thread where that may be slow, and hands it to the workers. A file that cannot be used changes
// nothing: it is told once, counted, and looked at again when it changes.
//
//   apply()  at the start and after each reload (which has looked at the files itself)
//
// A database that is no longer in use is unmapped by the thread of the next look, not by a loop.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/metrics.h"
#include "conf/config.h"
#include "geo/databases.h"
#include "net/worker.h"
#include "proxy/node.h"

namespace vignette::proxy {

// Loop-thread only.
class GeoKeeper {
 public:
  // Called with each new set; never with null.
  using Hand = std::function<void(geo::DatabasesRef)>;

  // `node` outlives it, and it outlives the loop's run(); tasks in the node's `file_pool` may outlive it.
  GeoKeeper(Node& node, net::Worker& loop, Hand hand);
  GeoKeeper(const GeoKeeper&) = delete;
  GeoKeeper& operator=(const GeoKeeper&) = delete;

  // From now on keeps these, which the workers have already.
  void apply(const conf::GeoOptions& options, geo::DatabasesRef databases);
  const geo::DatabasesRef& in_use() const { return databases_; }

 private:
  static net::Task<void> strand(GeoKeeper& keeper, std::uint64_t round);
  std::function<std::vector<geo::Change>()> look();
  void take(const std::vector<geo::Change>& changes);
  void refuse(const geo::Change& change);
  void use(geo::DatabasesRef databases);

  Node& node_;
  net::Worker& loop_;
  const Hand hand_;
  geo::BadRecordReports reports_;
  geo::ByKind<Gauge*> built_{};
  geo::ByKind<Counter*> replaced_{};
  geo::ByKind<Counter*> refusals_{};
  geo::Paths paths_;
  Duration interval_{};
  geo::DatabasesRef databases_;
  geo::ByKind<std::optional<geo::FileStamp>> refused_;
  std::vector<geo::DatabasesRef> retired_;  // until the next look
  std::uint64_t round_ = 0;                 // counts apply()
  net::StrandRef strand_;
};

}  // namespace vignette::proxy
