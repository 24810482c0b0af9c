#include "proxy/origin/server_registry.h"

#include <catch2/catch.hpp>

using namespace vignette;
using namespace vignette::proxy;
using namespace std::chrono_literals;

namespace {

constexpr Error kRefused{Code::refused, Blame::origin, Retry::yes, 0, "connect"};

struct Fixture {
  Fixture() { clock.advance(1h); }
  int fail(ServerState& server, std::uint32_t times) {
    int ejected = 0;
    for (std::uint32_t i = 0; i < times; ++i) ejected += server.failed(kRefused, clock.now());
    return ejected;
  }
  ManualClock clock;
  Metrics metrics{1};
  ServerRegistry registry{metrics, &clock};
};

}  // namespace

TEST_CASE_METHOD(Fixture, "The fifth gateway error in a row ejects, one success in between starts over") {
  auto server = registry.server("app", "127.0.0.1:1");
  CHECK(fail(*server, 4) == 0);
  server->succeeded();
  CHECK(fail(*server, 4) == 0);
  CHECK(server->is_up(clock.now()));
  CHECK(fail(*server, 1) == 1);
  CHECK(server->state(clock.now()) == "ejected");
  clock.advance(ServerState::kEjection - 1ms);
  CHECK_FALSE(server->is_up(clock.now()));
  clock.advance(1ms);
  CHECK(server->is_up(clock.now()));
}

TEST_CASE_METHOD(Fixture, "Each ejection lasts longer, up to 300 s, and a long good time forgives") {
  auto server = registry.server("app", "127.0.0.1:1");
  for (int count = 1; count <= 31; ++count) {
    REQUIRE(fail(*server, ServerState::kErrorsToEject) == 1);
    CHECK(server->ejection() ==
          std::min<Duration>(count * ServerState::kEjection, ServerState::kMaxEjection));
    clock.advance(server->ejection());
  }
  clock.advance(ServerState::kMaxEjection + 1s);
  CHECK(fail(*server, ServerState::kErrorsToEject) == 1);
  CHECK(server->ejection() == ServerState::kEjection);
}

TEST_CASE_METHOD(Fixture, "A server that health checks found well again is no longer ejected") {
  auto server = registry.server("app", "127.0.0.1:1");
  CHECK(fail(*server, ServerState::kErrorsToEject) == 1);
  CHECK(!server->is_up(clock.now()));
  server->readmit();
  CHECK(server->is_up(clock.now()));
  CHECK(fail(*server, ServerState::kErrorsToEject - 1) == 0);
  CHECK(fail(*server, 1) == 1);
  CHECK(server->ejection() == ServerState::kEjection);
}

TEST_CASE_METHOD(Fixture, "At most 30 percent of an origin's servers are ejected, but always one") {
  auto count_ejected = [this](std::string_view origin, int servers) {
    std::vector<std::shared_ptr<ServerState>> states;
    for (int i = 0; i < servers; ++i) states.push_back(registry.server(origin, std::to_string(i)));
    int ejected = 0;
    for (auto& state : states) ejected += fail(*state, ServerState::kErrorsToEject);
    return ejected;
  };
  CHECK(count_ejected("one", 1) == 1);
  CHECK(count_ejected("six", 6) == 1);
  CHECK(count_ejected("seven", 7) == 2);
  CHECK(count_ejected("ten", 10) == 3);
}

TEST_CASE_METHOD(Fixture, "A server's state outlives whoever used it, and is shown only while in use") {
  auto server = registry.server("app", "127.0.0.1:1");
  server->set_active(ActiveHealth::down);
  const ServerState* before = server.get();
  CHECK(registry.status_json().find("\"state\":\"down\"") != std::string::npos);
  server.reset();
  CHECK(registry.status_json() == "[]");
  server = registry.server("app", "127.0.0.1:1");
  CHECK(server.get() == before);
  CHECK(server->active() == ActiveHealth::down);
  CHECK(registry.server("other", "127.0.0.1:1").get() != before);
}

TEST_CASE_METHOD(Fixture, "The status names each server with its state and its last error") {
  auto first = registry.server("app", "127.0.0.1:1");
  auto second = registry.server("app", "127.0.0.1:2");
  second->describe(3, true);
  second->count_request(0);
  second->connect_failed(kRefused, clock.now());
  CHECK(
      registry.status_json() ==
      R"([{"name":"app","servers":[{"address":"127.0.0.1:1","state":"up","weight":1,"backup":false,)"
      R"("in_flight":0,"requests":0,"failures":0,"last_error":""},{"address":"127.0.0.1:2","state":"up",)"
      R"("weight":3,"backup":true,"in_flight":0,"requests":1,"failures":0,"last_error":"connect: refused"}]}])");
  std::string text;
  metrics.render(text);
  CHECK(text.find("vignette_origin_up{origin=\"app\",server=\"127.0.0.1:1\"} 1") != std::string::npos);
  CHECK(text.find("vignette_origin_requests_total{origin=\"app\",server=\"127.0.0.1:2\"} 1") !=
        std::string::npos);
}
