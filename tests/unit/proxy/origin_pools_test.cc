#include <catch2/catch.hpp>

#include <algorithm>

#include "origin_support.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;

namespace {

// A server that is told of its clients.
struct PoolScene : OriginScene {
  PoolScene() {
    server = std::make_unique<ScriptedServer>(worker, std::vector<std::vector<Turn>>{{{ok("")}}});
    add_server(server->address());
    options.proxy_protocol = conf::ProxyProtocol::v1;
  }
};

Viewer viewer(std::size_t number) {
  Viewer made;
  made.address[14] = static_cast<std::uint8_t>(number >> 8);
  made.address[15] = static_cast<std::uint8_t>(number);
  return made;
}

bool has_idle(OriginScene& scene, const Viewer& asking) {
  return scene.context.pools.take_idle(scene.endpoint(), 1h, OriginPools::Check::flags, &asking).has_value();
}

}  // namespace

TEST_CASE("A server's idle connections are limited whoever they speak for, and the oldest goes") {
  PoolScene scene;
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    OriginPools& pools = self.context.pools;
    for (std::size_t number = 1; number <= OriginPools::kIdlePerServer + 1; ++number) {
      const Viewer asking = viewer(number);
      auto connection = co_await pools.connect(self.endpoint(), self.worker.now() + 5s, nullptr, &asking);
      VCHECK(connection);
      std::move(*connection).give_back();
      CHECK(pools.idle() == std::min(number, OriginPools::kIdlePerServer));
    }
    CHECK(pools.idle(self.endpoint()) == OriginPools::kIdlePerServer);
    CHECK_FALSE(has_idle(self, viewer(1)));
    CHECK(has_idle(self, viewer(2)));
    CHECK_FALSE(has_idle(self, viewer(2)));
    CHECK(has_idle(self, viewer(OriginPools::kIdlePerServer + 1)));
    CHECK(pools.idle() == OriginPools::kIdlePerServer - 2);
  }));
}
