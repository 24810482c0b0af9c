// Cache-Groups and Cache-Group-Invalidation (RFC 9875): names that an origin gives to responses that go out
// of date together.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "http/field_list.h"

namespace vignette::cache {

// The strings of a structured field's list (RFC 9651 section 3.1), parameters left out, appended to `groups`.
// False when it is not well formed or holds anything but strings: the field counts for nothing then.
bool parse_cache_groups(std::string_view value, std::vector<std::string>& groups);

// Of one response; further ones count for nothing. RFC 9875 asks for 32.
inline constexpr std::size_t kMaxCacheGroups = 64;
// What all lines of the field called `name` list together; nothing when one of them is not well formed.
std::vector<std::string> read_cache_groups(const http::FieldList& fields, std::string_view name);

}  // namespace vignette::cache
