// What of a request goes into the cache key of a route to servers, and what of its query the origin sees.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "conf/route_cache.h"
#include "http/field_list.h"

namespace vignette::proxy {

// The query as key and origin have it; nullopt: none, and no `?` either. The view is `query` itself or in
// `scratch`, which is overwritten. Kept parameters are sorted by their decoded names, equal ones stay in the
// order in which they came, and empty parameters go. A name counts as it reads decoded.
std::optional<std::string_view> select_query(const conf::RouteCacheKey& key, bool has_query,
                                             std::string_view query, std::string& scratch);

// Appends a line for each field and each cookie of the key: LF, then what Vary would select by, or
// `cookie NAME:VALUE`. False: longer than a key may be.
bool append_key_fields(const conf::RouteCacheKey& key, const http::FieldList& request, std::string& out);

}  // namespace vignette::proxy
