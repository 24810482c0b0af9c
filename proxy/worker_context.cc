#include "proxy/worker_context.h"

#include "proxy/client/h2_share.h"
#include "proxy/media/coded_body.h"

namespace vignette::proxy {
namespace {

constexpr Duration kComplainEvery = std::chrono::seconds(10);

}  // namespace

IdleConnections::Place::Place(IdleConnections& list, net::Strand& strand)
    : list_(list), strand_(strand), next_(list.first_) {
  if (next_) next_->previous_ = this;
  list.first_ = this;
}

IdleConnections::Place::~Place() {
  if (next_) next_->previous_ = previous_;
  (previous_ ? previous_->next_ : list_.first_) = next_;
}

void IdleConnections::cancel_all() {
  for (Place* place = first_; place; place = place->next_) place->strand_.cancel();
}

WorkerContext::WorkerContext(Node& shared, net::Worker& worker, unsigned number,
                             std::shared_ptr<const Snapshot> first)
    : node(shared),
      loop(worker),
      index(number),
      snapshot(std::move(first)),
      tls(snapshot ? snapshot->tls : nullptr),
      fills(worker),
      pools(worker),
      h2(std::make_unique<H2Share>(shared.clock, kComplainEvery)),
      failed_invalidations(shared.clock, kComplainEvery),
      refused_connections(shared.clock, kComplainEvery),
      codec_room(kCodecRoomBytes) {}

WorkerContext::~WorkerContext() = default;

std::string_view WorkerContext::http_date() {
  if (WallTime second = loop.wall(); second != date_second_) {
    date_second_ = second;
    http::format_date(second, date_);
  }
  return {date_, sizeof date_};
}

}  // namespace vignette::proxy
