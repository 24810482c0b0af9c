// Lookups that may have to wait for a slower tier. Loop-thread only.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "cache/store.h"
#include "cache/vary.h"
#include "net/task.h"

namespace vignette::proxy {

struct WorkerContext;

// Longest wait for a tier; then it is a miss.
inline constexpr Duration kTierWait = std::chrono::seconds(5);

// hit or miss, after try_lookup() has said must_wait. A miss also when the tier takes longer than kTierWait;
// cancelled when the strand was.
net::Task<Result<cache::Lookup>> await_lookup(WorkerContext& context, cache::Key key,
                                              std::string_view key_string);

// What try_lookup_variant() has found, or what a slower tier brings when that said must_wait: hit or miss.
// `key` and `key_string` go on to the variant's. What is named must outlive the wait. Errors as above.
net::Task<Result<cache::VariantLookup>> finish_lookup(WorkerContext& context, cache::VariantLookup found,
                                                      const http::FieldList& request, cache::Key& key,
                                                      std::string& key_string);

}  // namespace vignette::proxy
