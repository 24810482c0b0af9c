// An explanation as JSON for /v1/explain and as lines for a person.
#pragma once

#include <string>

#include "proxy/admin/explain.h"

namespace vignette::proxy {

std::string explain_json(const Explanation& explanation);
// That document in lines; the text itself when it is not what it should be.
std::string explain_summary(const std::string& json);

}  // namespace vignette::proxy
