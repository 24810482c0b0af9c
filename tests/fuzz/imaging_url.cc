// Image URLs: "<rest>?<query>". What parses must be safe, and its canonical ops must parse to themselves.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/strings.h"
#include "imaging/url.h"

using namespace vignette;
using namespace vignette::imaging;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto grammar = std::make_shared<const Grammar>(
      *Grammar::make({{{"thumb", "w=150,h=150,fit=cover"}, {"hero", "w=1000,q=60,f=webp"}}, {}, 8192}));
  static const ImageUrls urls = *ImageUrls::make(
      {UnsignedPolicy::on, {{"k1", "0123456789abcdef"}, {"k2", "fedcba9876543210"}}}, grammar);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Halves halves = split_once(text, '?');
  const auto request = urls.parse(halves.before, halves.after, WallTime(std::chrono::seconds(1'700'000'000)));
  if (!request) {
    VCHECK(!request.error().message.empty());
    return 0;
  }
  VCHECK(!request->key.empty() && request->key.size() <= kMaxKeyBytes);
  VCHECK(request->key.find('\0') == std::string::npos && request->key.front() != '/');
  for (const std::string_view segment : split(request->key, '/')) VCHECK(segment != "..");
  const std::string canonical = canonical_ops(request->transform);
  if (canonical.empty()) return 0;
  const auto again = grammar->parse(canonical);
  VCHECK(again && canonical_ops(again->transform) == canonical);
  return 0;
}
