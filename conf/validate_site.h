// The part of validate() that is about sites and their routes.
#pragma once

#include "conf/context.h"
#include "conf/tree.h"

namespace vignette::conf {

// Origins have been checked and their kinds are known.
void validate_sites(Context& context, const Node& root, Config& config);

}  // namespace vignette::conf
