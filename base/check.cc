#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace vignette {

void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "vignette: check failed: %s at %s:%d\n", expression, file, line);
  std::abort();
}

}  // namespace vignette
