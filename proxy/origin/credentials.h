// The keys that sign requests to an object store. The configuration's loader has found and checked them.
#pragma once

#include <string>

#include "conf/config.h"

namespace vignette::proxy {

struct Credentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token;  // empty: long-term keys
};

inline Credentials credentials_of(const conf::S3Options& options) {
  return {options.access_key, std::string(options.secret_key.reveal()),
          std::string(options.session_token.reveal())};
}

}  // namespace vignette::proxy
