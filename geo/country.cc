#include "geo/country.h"

#include <algorithm>

namespace vignette::geo {

bool Rules::allowed(const Country& country) const {
  if (std::ranges::find(deny, country) != deny.end()) return false;
  return allow.empty() || std::ranges::find(allow, country) != allow.end();
}

}  // namespace vignette::geo
