#pragma once

#include <string_view>

namespace vignette::http {

// "Not Found" (the IANA registry); "Unknown" for codes without a name. Static.
std::string_view reason_phrase(int status);

// Whether RFC 9110 §15.1 lets a cache use heuristic freshness for it.
bool is_heuristically_cacheable(int status);

// Whether a response with that status has no body whatever its fields say (1xx, 204, 304).
inline bool never_has_body(int status) { return status < 200 || status == 204 || status == 304; }

}  // namespace vignette::http
