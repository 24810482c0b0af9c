// What the node says of warming: series and a part of /v1/status.
#pragma once

#include <vector>

#include "base/json.h"
#include "base/metrics.h"
#include "proxy/admin/warm_desk.h"
#include "proxy/process/hot_keeper.h"

namespace vignette::proxy {

// `keeper` may be null. Both outlive what is appended to `callbacks`.
void register_warm_metrics(const WarmDesk& desk, const HotKeeper* keeper, Metrics& metrics,
                           std::vector<Metrics::Callback>& callbacks);

// The member "warm" of an object that is open.
void write_warm(JsonWriter& json, const WarmDesk& desk, const HotKeeper* keeper);

}  // namespace vignette::proxy
