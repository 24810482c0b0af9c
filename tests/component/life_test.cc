// A node's life: new configurations, draining, running out of descriptors.
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/component/scene.h"

using namespace vignette::test;
using namespace std::string_literals;

TEST_CASE("A new configuration applies to the next request of an open connection") {
  Scene scene(always("", "ok"));
  RawClient client = scene.client();
  CHECK(client.fetch("/").status == 200);
  scene.node.reload(proxy_config(scene.origin, "deny = [\"127.0.0.1\"]"));
  CHECK(client.fetch("/").status == 403);
  scene.node.reload(proxy_config(scene.origin));
  CHECK(client.fetch("/").status == 200);
  CHECK(scene.origin.calls() == 2);
  CHECK(scene.origin.connections() == 1);
}

TEST_CASE("A request in flight ends under the configuration it began with") {
  Gate gate;
  Scene scene(
      [&](const OriginCall& call, const ScriptedOrigin::Send& send) {
        gate.wait();
        return send(ScriptedOrigin::answer(200, "X-Target: " + call.target + "\r\n", "ok"));
      },
      "cache = \"off\"\nheaders = { set = { X-Generation = \"1\" } }");
  RawClient client = scene.client();
  client.get("/a");
  REQUIRE(scene.origin.wait_for_calls(1));
  ScriptedOrigin other(always("", "other"));
  scene.node.reload(proxy_config(other, "cache = \"off\"\nheaders = { set = { X-Generation = \"2\" } }"));
  scene.node.settle();
  CHECK(scene.client().fetch("/a").body == "other");
  gate.open();
  RawResponse answer = client.read();
  CHECK(answer.body == "ok");
  CHECK(answer.field("x-generation") == "1");
}

TEST_CASE("A drain closes idle connections and lets requests in flight end") {
  Gate gate;
  Scene scene(
      [&](const OriginCall& call, const ScriptedOrigin::Send& send) {
        if (call.target == "/slow") gate.wait();
        return send(ScriptedOrigin::answer(200, "", "ok"));
      },
      "", "", {.workers = 2});
  RawClient idle = scene.client();
  CHECK(idle.fetch("/").status == 200);
  RawClient busy = scene.client();
  busy.get("/slow");
  REQUIRE(scene.origin.wait_for_calls(2));
  scene.node.drain();
  CHECK(idle.at_end());
  gate.open();
  RawResponse answer = busy.read();
  CHECK(answer.status == 200);
  CHECK(answer.body == "ok");
  CHECK(answer.field("connection").empty());
  CHECK(busy.at_end());
  scene.node.settle();
  CHECK_THROWS(scene.client());
  CHECK(scene.node.metric("vignette_connections_open") == 0);
}

TEST_CASE("A connection that was accepted before a drain and has not asked yet is still served") {
  Scene scene(always("", "ok"));
  RawClient fresh = scene.client();
  // Seen by the node before it drains.
  while (scene.node.metric("vignette_connections_accepted_total") < 1) {
  }
  scene.node.drain();
  scene.node.settle();
  RawResponse answer = fresh.fetch("/");
  CHECK(answer.status == 200);
  CHECK(answer.field("connection") == "close");
  CHECK(fresh.at_end());
}

TEST_CASE("A node that ran out of descriptors goes on when there are some again") {
  Scene scene(always("Cache-Control: max-age=60\r\n", "ok"));
  CHECK(scene.client().fetch("/a").body == "ok");
  RawClient waiting_soon = scene.client();
  CHECK(waiting_soon.fetch("/a").body == "ok");

  // Room for the client's end of one more connection, and none for the node's.
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  int lowest_free = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  REQUIRE(lowest_free >= 0);
  ::close(lowest_free);
  std::vector<int> fillers;
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(lowest_free) + 2;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
  int filler = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  auto waiting = std::make_unique<RawClient>(scene.node.port());
  waiting->get("/a");
  while (scene.node.worker().loop().counters().accept_exhausted == 0) scene.node.settle();
  // Connections that are open go on meanwhile.
  CHECK(waiting_soon.fetch("/a").body == "ok");
  ::close(filler);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(waiting->read().body == "ok");
}

TEST_CASE("A node that ends leaves no client hanging") {
  Gate gate;
  ScriptedOrigin origin([&](const OriginCall&, const ScriptedOrigin::Send&) {
    gate.wait();
    return false;
  });
  auto node = std::make_unique<TestNode>(proxy_config(origin));
  RawClient client(node->port());
  client.get("/a");
  REQUIRE(origin.wait_for_calls(1));
  node.reset();
  CHECK(client.read().status == 0);
  gate.open();
}
