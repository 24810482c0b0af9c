#include "proxy/process/health.h"

#include <catch2/catch.hpp>

#include "origin_support.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;

namespace {

Turn status(int code) {
  return {.answer = "HTTP/1.1 " + std::to_string(code) + " Some\r\nContent-Length: 0\r\n\r\n"};
}

// Each probe is a connection of its own, so each script is one probe; the last one is repeated.
std::vector<std::vector<Turn>> probes(std::initializer_list<int> codes) {
  std::vector<std::vector<Turn>> scripts;
  for (int code : codes) scripts.push_back({status(code)});
  return scripts;
}

SnapshotRef snapshot_of(OriginScene& scene) {
  auto snapshot = std::make_shared<Snapshot>();
  auto made = ServersOrigin::create(scene.options, scene.node);
  VCHECK(made);
  snapshot->origins.emplace("app", std::move(*made));
  return snapshot;
}

void serve(OriginScene& scene, std::initializer_list<int> codes) {
  scene.server = std::make_unique<ScriptedServer>(scene.worker, probes(codes));
  scene.add_server(scene.server->address());
  scene.options.health = conf::HealthOptions{.path = "/healthz?a=1", .interval = 5ms, .timeout = 2000ms};
}

net::Task<void> wait_for(OriginScene& scene, ActiveHealth health) {
  for (int i = 0; i < 2000 && scene.state().active() != health; ++i) {
    auto turn = co_await net::sleep_for(1ms);
    VCHECK(turn);
  }
  CHECK(scene.state().active() == health);
}

}  // namespace

TEST_CASE("A server never seen before waits for one good probe; redirects are good") {
  OriginScene scene;
  serve(scene, {500, 302});
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    HealthChecker checker(self.node, self.worker);
    checker.apply(snapshot_of(self));
    CHECK(self.state().active() == ActiveHealth::probing);
    CHECK_FALSE(self.state().is_up(self.worker.now()));
    co_await wait_for(self, ActiveHealth::up);
    CHECK(self.server->connections == 2);
  }));
  CHECK(scene.server->requests.at(0).starts_with("GET /healthz?a=1 HTTP/1.1\r\n"));
  CHECK(scene.lines.find("is up (health check answered 302)") != std::string::npos);
  CHECK(scene.state().requests() == 0);
}

TEST_CASE("Three bad probes bring a server down, two good ones up again") {
  OriginScene scene;
  serve(scene, {200, 500, 500, 200, 500, 404, 503, 200, 200});
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    HealthChecker checker(self.node, self.worker);
    checker.apply(snapshot_of(self));
    co_await wait_for(self, ActiveHealth::up);
    co_await wait_for(self, ActiveHealth::down);
    CHECK(self.server->connections == 7);
    co_await wait_for(self, ActiveHealth::up);
    CHECK(self.server->connections == 9);
  }));
  CHECK(scene.lines.find("is down after 3 failed health checks: answered 503") != std::string::npos);
}

TEST_CASE("A server that cannot be reached goes down, with the reason in the log") {
  OriginScene scene;
  serve(scene, {200});
  scene.server->close();
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    HealthChecker checker(self.node, self.worker);
    checker.apply(snapshot_of(self));
    co_await wait_for(self, ActiveHealth::down);
  }));
  CHECK(scene.lines.find("Connection refused (connect)") != std::string::npos);
}

TEST_CASE("A reload keeps what is known, and ends the probes of what is not checked any more") {
  OriginScene scene;
  serve(scene, {200});
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    HealthChecker checker(self.node, self.worker);
    checker.apply(snapshot_of(self));
    co_await wait_for(self, ActiveHealth::up);
    checker.apply(snapshot_of(self));
    CHECK(self.state().active() == ActiveHealth::up);
    self.options.health.reset();
    checker.apply(snapshot_of(self));
    CHECK(self.state().active() == ActiveHealth::unchecked);
  }));
}
