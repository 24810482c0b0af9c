#include "proxy/media/stored_lookup.h"

#include <memory>
#include <optional>

#include "net/signal.h"
#include "proxy/worker_context.h"

namespace vignette::proxy {
namespace {

struct TierAnswer {
  net::Signal arrived;
  std::optional<cache::Lookup> lookup;
};

}  // namespace

net::Task<Result<cache::Lookup>> await_lookup(WorkerContext& context, cache::Key key,
                                              std::string_view key_string) {
  auto answer = std::make_shared<TierAnswer>();
  context.node.store.lookup(key, key_string, context.loop, [answer](cache::Lookup lookup) {
    answer->lookup = std::move(lookup);
    answer->arrived.notify_all();
  });
  const TimePoint deadline = context.loop.now() + kTierWait;
  while (!answer->lookup) {
    auto woken = co_await answer->arrived.wait(deadline);
    if (woken) continue;
    if (woken.error().code == Code::cancelled) {
      co_return fail(Code::cancelled, Blame::client, "lookup: the client left");
    }
    co_return cache::Lookup{};
  }
  co_return std::move(*answer->lookup);
}

net::Task<Result<cache::VariantLookup>> finish_lookup(WorkerContext& context, cache::VariantLookup found,
                                                      const http::FieldList& request, cache::Key& key,
                                                      std::string& key_string) {
  using Outcome = cache::Lookup::Outcome;
  for (int depth = 0; found.lookup.outcome == Outcome::must_wait; ++depth) {
    auto waited = co_await await_lookup(context, key, key_string);
    if (!waited) co_return std::unexpected(waited.error());
    found.lookup = std::move(*waited);
    if (found.lookup.outcome != Outcome::hit) break;
    if (!found.lookup.object->flags().is_vary_marker) {
      found.vary_miss = false;
      break;
    }
    // The marker is in memory now, and tells the variant's key.
    found = cache::try_lookup_variant(context.node.store, request, key, key_string);
    if (depth == cache::kMaxVaryDepth) found.lookup = {};
  }
  co_return found;
}

}  // namespace vignette::proxy
