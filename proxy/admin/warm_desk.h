// POST /v1/warm: takes one order at a time from each connection, has a worker run it, answers how it went.
// Who orders waits for the answer, so that nothing queues here: the pace is theirs.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <string>

#include "net/task.h"
#include "net/worker.h"
#include "proxy/admin/admin_reply.h"
#include "proxy/admin/warm_order.h"

namespace vignette::proxy {

class WarmDesk {
 public:
  static constexpr std::size_t kMaxOpen = 32;  // orders under way; more are answered 503
  static constexpr Duration kLongest = std::chrono::seconds(120);
  static constexpr std::uint64_t kMaxDocument = std::uint64_t{50} << 20;  // bytes; what a sitemap may have

  using Done = std::move_only_function<void(WarmReply)>;
  // Starts an order on some worker; `done` is called there, unless the worker ends before.
  using Run = std::function<void(WarmOrder, Done)>;

  // The loop outlives it, and it outlives the loop's strands.
  WarmDesk(net::Worker& loop, Run run) : loop_(loop), run_(std::move(run)) {}
  WarmDesk(const WarmDesk&) = delete;
  WarmDesk& operator=(const WarmDesk&) = delete;

  // The reply of warm_reply_json(), or 400 for what is no order. Loop-thread only.
  net::Task<AdminReply> take(SnapshotRef snapshot, std::string text);
  // The body of what a URL of this node answers, stored or not; 502 when there is none.
  net::Task<AdminReply> read_document(SnapshotRef snapshot, std::string url);

  // Thread-safe.
  std::uint64_t count(WarmReply::Outcome outcome) const {
    return counts_[static_cast<std::size_t>(outcome)].load(std::memory_order_relaxed);
  }

 private:
  net::Task<WarmReply> run(WarmOrder order);

  net::Worker& loop_;
  const Run run_;
  std::size_t open_ = 0;
  std::array<std::atomic<std::uint64_t>, 3> counts_{};
};

}  // namespace vignette::proxy
