#include "proxy/origin/make_origin.h"

#include "proxy/origin/directory_origin.h"
#include "proxy/origin/s3_origin.h"
#include "proxy/origin/servers_origin.h"

namespace vignette::proxy {

std::expected<std::unique_ptr<Origin>, std::string> make_origin(const conf::Origin& options, Node& node) {
  switch (options.kind) {
    case conf::OriginKind::servers:
      break;
    case conf::OriginKind::s3:
      return make_s3_origin(options, node);
    case conf::OriginKind::directory:
      return std::make_unique<DirectoryOrigin>(options);
  }
  return ServersOrigin::create(options, node);
}

}  // namespace vignette::proxy
