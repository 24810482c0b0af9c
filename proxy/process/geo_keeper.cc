#include "proxy/process/geo_keeper.h"

#include <algorithm>
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

GeoKeeper::GeoKeeper(Node& node, net::Worker& loop, Hand hand)
    : node_(node), loop_(loop), hand_(std::move(hand)), reports_(bad_record_reports(node)) {
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

void GeoKeeper::apply(const conf::GeoOptions& options, geo::DatabasesRef databases) {
  paths_ = geo_paths(options);
  interval_ = options.interval;
  refused_ = {};
  use(std::move(databases));
  strand_.cancel();
  const bool has_any = std::ranges::any_of(paths_, [](const std::string& path) { return !path.empty(); });
  ++round_;
  if (has_any) strand_ = loop_.spawn_named("geo", strand, std::ref(*this), round_);
}

// What a look at the files of an earlier apply() brings is dropped.
net::Task<void> GeoKeeper::strand(GeoKeeper& keeper, std::uint64_t round) {
  for (;;) {
    auto slept = co_await net::sleep_for(keeper.interval_);
    if (!slept) co_return;
    auto changes = co_await net::offload(keeper.node_.file_pool, keeper.look());
    if (!changes && changes.error().code == Code::cancelled) co_return;
    if (round != keeper.round_) co_return;
    if (changes) keeper.take(*changes);
  }
}

// For another thread, which may be at it when this ends. It also drops, there, what was in use before.
std::function<std::vector<geo::Change>()> GeoKeeper::look() {
  return
      [paths = paths_, in_use = databases_, refused = refused_, reports = reports_,
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
  use(next);
  hand_(std::move(next));
}

void GeoKeeper::refuse(const geo::Change& change) {
  refused_[index(change.kind)] = change.stamp;
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
