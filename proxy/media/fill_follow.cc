#include "proxy/media/fill_follow.h"

#include <algorithm>

#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

// The waiting strand was cancelled, not the fill.
std::unexpected<Error> client_left() { return fail(Code::cancelled, Blame::client, "fill: the client left"); }

// The fill goes on, or is over, without this reader: too slow, or not for it.
std::unexpected<Error> closed_to_reader() {
  return fail(Code::closed, Blame::client, "fill: not for this reader any more");
}

}  // namespace

net::Task<Result<void>> wait_for_head(WorkerContext& context, cache::Reader& reader,
                                      const cache::FillRef& fill, FillHub::Follower& follower,
                                      TimePoint deadline,
                                      const std::function<void(cache::FillWriter)>& launch) {
  for (;;) {
    switch (reader.state()) {
      case cache::FillState::waiting_head:
        break;
      case cache::FillState::failed:
        if (!reader.object()) co_return std::unexpected(fill->error());
        co_return Result<void>{};
      case cache::FillState::streaming:
        // A manifest is there for others once the fills of its chunks are.
        if (reader.object()->flags().is_manifest) break;
        co_return Result<void>{};
      default:
        co_return Result<void>{};
    }
    const TimePoint second = fill->started_at() + cache::kSecondAttemptAfter;
    const bool may_second = context.loop.now() < second;
    auto woken = co_await follower.progress(may_second ? std::min(second, deadline) : deadline);
    if (woken) continue;
    if (woken.error().code == Code::cancelled) co_return client_left();
    if (context.loop.now() >= deadline) co_return fail(Code::timeout, Blame::origin, "fill: no head in time");
    if (reader.state() != cache::FillState::waiting_head) continue;
    if (cache::FillWriter writer = fill->start_second(context.loop.now(), reader)) launch(std::move(writer));
  }
}

net::Task<Result<bool>> wait_for_bytes(WorkerContext& context, cache::Reader& reader,
                                       FillHub::Follower& follower, std::uint64_t wanted) {
  for (;;) {
    const cache::FillState state = reader.state();
    if (state == cache::FillState::cut || state == cache::FillState::refused) co_return closed_to_reader();
    if (reader.available() >= wanted) co_return true;
    if (state == cache::FillState::complete) co_return reader.available() > 0;
    if (state != cache::FillState::streaming) co_return fail(Code::closed, Blame::origin, "fill: cut short");
    auto woken = co_await follower.progress(context.loop.now() + kProgressWait);
    if (woken) continue;
    if (woken.error().code == Code::cancelled) co_return client_left();
    co_return std::unexpected(woken.error());
  }
}

}  // namespace vignette::proxy
