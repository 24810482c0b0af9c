// Header scan: whole and as two prefixes; a final answer on a prefix is the answer on the whole.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "imaging/header.h"

using namespace vignette::imaging;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const HeaderScan whole = scan_header(file, true);
  VCHECK(whole.state != HeaderScan::State::need_more);
  VCHECK((whole.state == HeaderScan::State::failed) == (whole.error != ErrorClass::none));
  if (whole.state == HeaderScan::State::done) {
    VCHECK(whole.header.width > 0 && whole.header.height > 0);
    VCHECK(whole.header.orientation >= 1 && whole.header.orientation <= 8);
    estimate_bytes(whole.header, 512, 512);
  }
  for (const std::size_t cut : {size / 2, size - size / 4}) {
    const HeaderScan part = scan_header(file.substr(0, cut), false);
    if (part.state == HeaderScan::State::need_more) VCHECK(part.need > cut);
    if (part.state == HeaderScan::State::done && whole.state == HeaderScan::State::done) {
      VCHECK(part.header.width == whole.header.width && part.header.height == whole.header.height);
    }
  }
  return 0;
}
