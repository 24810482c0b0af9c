#include "net/versions.h"

#include <ares.h>
#include <event2/event.h>
#include <openssl/crypto.h>

namespace vignette::net {

std::vector<std::string> library_versions() {
  return {std::string("libevent ") + event_get_version(), OpenSSL_version(OPENSSL_VERSION),
          std::string("c-ares ") + ares_version(nullptr)};
}

}  // namespace vignette::net
