#include "proxy/worker_context.h"

namespace vignette::proxy {

WorkerContext::WorkerContext(Node& shared, net::Worker& worker, unsigned number,
                             std::shared_ptr<const Snapshot> first)
    : node(shared), loop(worker), index(number), snapshot(std::move(first)), fills(worker), pools(worker) {}

WorkerContext::~WorkerContext() = default;

std::string_view WorkerContext::http_date() {
  if (WallTime second = loop.wall(); second != date_second_) {
    date_second_ = second;
    http::format_date(second, date_);
  }
  return {date_, sizeof date_};
}

}  // namespace vignette::proxy
