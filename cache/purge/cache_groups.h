// Cache-Groups (RFC 9875): names that an origin gives to responses that go out of date together.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vignette::cache {

// The strings of a structured field's list (RFC 9651 section 3.1), parameters left out, appended to `groups`.
// False when it is not well formed or holds anything but strings: the field counts for nothing then.
bool parse_cache_groups(std::string_view value, std::vector<std::string>& groups);

}  // namespace vignette::cache
