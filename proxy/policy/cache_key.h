// What of a request goes into the cache key of a route to servers, and what of its query the origin sees.
#pragma once

#include <cstdint>
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

// How a client came, of which apps make redirects and absolute links: its scheme; a port that keys leave out
// although it is not the scheme's own; the host that a trusted hop told, "" when there is none.
bool is_odd_port(std::string_view scheme, std::uint16_t port);
void append_viewer_origin(std::string_view scheme, std::uint16_t port, std::string_view told_host,
                          std::string& out);

// Appends a line for each field and each cookie of the key: LF, then what Vary would select by, or
// `cookie NAME:VALUE`. False: longer than a key may be.
bool append_key_fields(const conf::RouteCacheKey& key, const http::FieldList& request, std::string& out);

}  // namespace vignette::proxy
