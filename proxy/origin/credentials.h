// The keys that sign requests to an object store.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"

namespace vignette::proxy {

struct Credentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token = {};                  // empty: long-term keys
  std::optional<WallTime> expires = std::nullopt;  // nullopt: never
};

using CredentialsRef = std::shared_ptr<const Credentials>;

}  // namespace vignette::proxy
