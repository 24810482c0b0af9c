// What the node says of its disks: series and a part of /v1/status, one of each for every volume.
#pragma once

#include <vector>

#include "base/json.h"
#include "base/metrics.h"
#include "cache/tiered_store.h"

namespace vignette::proxy {

// The store must outlive what is appended to `callbacks`.
void register_disk_metrics(const cache::TieredStore& store, Metrics& metrics,
                           std::vector<Metrics::Callback>& callbacks);

// The member "disks" of an object that is open.
void write_disks(JsonWriter& json, const cache::DiskStats& stats);

}  // namespace vignette::proxy
