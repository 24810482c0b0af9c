// Tiny pictures of every kind of source, so that a worker has used each loader once before its sandbox
// closes.
#pragma once

#include <string>
#include <vector>

#include "imaging/format.h"

namespace vignette::imaging {

struct WarmSample {
  SourceFormat format;
  std::string bytes;
};

std::vector<WarmSample> warm_samples();

}  // namespace vignette::imaging
