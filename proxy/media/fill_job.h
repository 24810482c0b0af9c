// Running a fill: fetch from the route's origins, decide at the head whether to store, feed whoever reads.
// A fill is a strand of its own; no client's leaving ends it.
#pragma once

#include <memory>
#include <vector>

#include "cache/fill.h"
#include "cache/policy.h"
#include "conf/route_compress.h"
#include "proxy/media/stored_request.h"
#include "proxy/origin/origin.h"

namespace vignette::proxy {

struct Snapshot;
struct WorkerContext;

// Longest wait for the next piece of an origin's body.
inline constexpr Duration kBodyStall = std::chrono::seconds(60);

// Everything a fill needs, owned by it.
struct FillJob {
  std::shared_ptr<const Snapshot> snapshot;  // keeps origins alive
  std::vector<Origin*> origins;              // primary, then failover
  std::unique_ptr<Origin> own_origin;        // of this fill alone (imaging); then the only one in `origins`
  std::unique_ptr<StoredRequest> request;
  cache::CachePolicy policy;
  const conf::RouteCompress* compress =
      nullptr;             // the route's, in `snapshot`; null: answers stay as they come
  cache::ObjectRef stale;  // what is being revalidated; null: nothing
  // A range was asked for: of a large object begin with the first chunk (large_run.h).
  bool wants_part = false;
  cache::FillWriter writer;
  // Filled in before the head is known, for whoever started it; may be null.
  std::shared_ptr<OriginTrace> trace;
};

// Starts the strand. Loop-thread only.
void start_fill(WorkerContext& context, std::unique_ptr<FillJob> job);

// Ok to append: at once unless the fill is paced. False: nobody reads it any more, or another attempt won.
net::Task<bool> wait_for_room(WorkerContext& context, cache::FillWriter& writer);

// Asks the origins in order until one gives a usable answer: the next one is asked after an error that may be
// somebody else's luck, never after an answer. The last error otherwise.
net::Task<Result<OriginResponse>> fetch_with_failover(WorkerContext& context,
                                                      const std::vector<Origin*>& origins,
                                                      const OriginRequest& request);

}  // namespace vignette::proxy
