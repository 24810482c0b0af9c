// `vignette sign`: the signature of an image URL (imaging/url.h), made without asking a node.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "base/clock.h"

namespace vignette::proxy {

struct SignJob {
  std::string url;     // path or whole URL, percent-encoded, with "-" in the signature's place
  std::string key_id;  // goes in front of the signature; "": not told, any key of the node may fit
  std::string secret;  // raw bytes, 16 to 4096
  std::optional<std::int64_t>
      lifetime_seconds;  // from `now` on; else as long as the secret, or as its `e` says
};

// The URL with its signature. The error is a sentence: it is not the URL of an image, the node would refuse
// what it says (presets are not known here, and not looked at), or the key is none.
std::expected<std::string, std::string> sign_url(const SignJob& job, WallTime now);

// The secret in a file, without line ends after it, as [images] keys reads it.
std::expected<std::string, std::string> read_secret(const std::string& path);

}  // namespace vignette::proxy
