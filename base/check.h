// CHECK stays on in release: use it where going on would corrupt data or send one client's bytes to
// another. DCHECK is for everything else and is compiled out in release. Input never trips a check.
#pragma once

namespace vignette {
[[noreturn]] void check_failed(const char* expression, const char* file, int line);
}  // namespace vignette

// Named VCHECK because the test framework owns CHECK.
#define VCHECK(expression) \
  (static_cast<bool>(expression) ? void(0) : ::vignette::check_failed(#expression, __FILE__, __LINE__))

#ifdef NDEBUG
#define DCHECK(expression) void(sizeof(!(expression)))
#else
#define DCHECK(expression) VCHECK(expression)
#endif
