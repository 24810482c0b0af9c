// What a service answers when it is asked for credentials: whatever it is, only what can be sent comes out.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "http/field_list.h"
#include "proxy/origin/credential_source.h"

using namespace vignette;
using namespace vignette::proxy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  if (const auto keys = parse_credentials_json(body)) {
    VCHECK(!keys->access_key.empty() && !keys->secret_key.empty());
    VCHECK(http::is_field_value(keys->access_key) && http::is_field_value(keys->session_token));
  } else {
    VCHECK(!keys.error().empty());
  }
  if (const auto time = parse_utc(body)) VCHECK(size >= 20 && body.ends_with('Z'));
  return 0;
}
