// The variables of a redirect target.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"

namespace vignette::conf {

// Begins with "/", "http://", "https://" or "$scheme://". The error is a sentence without final stop.
std::expected<std::vector<RedirectPart>, std::string> parse_redirect(std::string_view target);

}  // namespace vignette::conf
