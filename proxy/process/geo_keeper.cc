#include "proxy/process/geo_keeper.h"

#include <utility>

#include <fmt/core.h>

#include "net/offload.h"
#include "proxy/route/geo_files.h"

namespace vignette::proxy {
namespace {

// "GeoLite2-City, built 2026-06-17"
std::string describe(const geo::Database& database) {
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(database.built()));
  return fmt::format("{}, built {:04}-{:02}-{:02}", database.type(), static_cast<int>(day.year()),
                     static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()));
}

}  // namespace

GeoKeeper::GeoKeeper(Node& node, net::Worker& loop, TaskPool& pool, Apply apply)
    : node_(node),
      loop_(loop),
      pool_(pool),
      apply_(std::move(apply)),
      reports_(bad_record_reports(node)),
      watch_(loop, "geo", *this) {
  Metrics& metrics = node.metrics.registry;
  for (const geo::Kind kind : geo::kKinds) {
    const Label label{"database", geo::to_string(kind)};
    built_[index(kind)] =
        &metrics.gauge("vignette_geo_build_timestamp_seconds",
                       "When the geo database in use was built (Unix time); 0: there is none.", {label});
    replaced_[index(kind)] = &metrics.counter(
        "vignette_geo_replaced_total", "Geo databases put into use because their file had changed.", {label});
    refusals_[index(kind)] = &metrics.counter(
        "vignette_geo_refused_total", "Changed files of geo databases that could not be used.", {label});
  }
}

void GeoKeeper::adopt(std::shared_ptr<const conf::Config> config, geo::DatabasesRef databases) {
  config_ = std::move(config);
  refused_ = {};
  const conf::GeoOptions& options = config_->geo;
  const bool has_files = geo_paths(options) != geo::Paths();
  const Duration poll = has_files ? Duration(options.poll) : Duration::zero();
  use(std::move(databases));
  // There may never be another look. Unmapping takes its time, so that the pool does it.
  if (poll == Duration::zero())
    static_cast<void>(pool_.try_submit([retired = std::exchange(retired_, {})] {}));
  watch_.restart(poll);
}

net::Task<void> GeoKeeper::look() {
  const std::shared_ptr<const conf::Config> config = config_;
  // What was wrong may have been ours: no descriptors, no memory.
  if (loop_.now() >= try_again_at_) refused_ = {};
  auto changes = co_await net::offload(pool_, looking());
  if (changes && config == config_) take(*changes);  // else a reload has looked at the files since
}

// For another thread, which may be at it when this ends. It also drops, there, what was in use before.
std::function<std::vector<geo::Change>()> GeoKeeper::looking() {
  return
      [paths = geo_paths(config_->geo), in_use = databases_, refused = refused_, reports = reports_,
       retired = std::exchange(retired_, {})] { return geo::look_again(paths, *in_use, refused, reports); };
}

void GeoKeeper::take(const std::vector<geo::Change>& changes) {
  auto next = std::make_shared<geo::Databases>(*databases_);
  bool has_new = false;
  for (const geo::Change& change : changes) {
    if (!change.database) {
      refuse(change);
      continue;
    }
    has_new = true;
    refused_[index(change.kind)].reset();
    next->by_kind[index(change.kind)] = change.database;
    replaced_[index(change.kind)]->add(kNoWorker);
    node_.log.info("geo: {} is in use ({})", change.database->path(), describe(*change.database));
  }
  if (!has_new) return;
  use(std::move(next));
  apply_(databases_);
}

void GeoKeeper::refuse(const geo::Change& change) {
  if (refused_ == decltype(refused_)()) try_again_at_ = loop_.now() + kTryAgainAfter;
  refused_[index(change.kind)] = change.mark;
  refusals_[index(change.kind)]->add(kNoWorker);
  const geo::Database* in_use = databases_->find(change.kind);
  node_.log.error("geo: {}; going on with the one in use ({})", change.error,
                  in_use ? describe(*in_use) : std::string("none"));
}

void GeoKeeper::use(geo::DatabasesRef databases) {
  if (databases_) retired_.push_back(std::move(databases_));
  databases_ = std::move(databases);
  for (const geo::Kind kind : geo::kKinds) {
    const geo::Database* database = databases_->find(kind);
    built_[index(kind)]->set(database ? database->built().time_since_epoch().count() : 0);
  }
}

}  // namespace vignette::proxy
