// What a worker keeps for talking to origin servers: idle connections and its resolver. Loop-thread only.
#pragma once

#include "net/resolver.h"
#include "net/worker.h"

namespace vignette::proxy {

class OriginPools {
 public:
  explicit OriginPools(net::Worker& worker) : resolver_(worker) {}
  net::Resolver& resolver() { return resolver_; }

 private:
  net::Resolver resolver_;
};

}  // namespace vignette::proxy
