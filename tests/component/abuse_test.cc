// Clients that want more than their share: each limit is attacked, and a normal client is served meanwhile.
#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <vector>

#include "net/tls.h"
#include "tests/component/scene.h"

using namespace vignette;
using namespace vignette::test;
using namespace std::string_literals;
using namespace std::chrono_literals;

namespace {

ScriptedOrigin::Script uncached_answers() { return always("Cache-Control: no-store\r\n", "ok"); }

double connections_refused(TestNode& node, std::string_view reason) {
  return node.metric("vignette_connections_refused_total", "reason=\"" + std::string(reason) + "\"");
}

// Connections that have been answered once, and so are counted.
std::vector<std::unique_ptr<RawClient>> crowd(const Scene& scene, int size) {
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < size; ++i) {
    clients.push_back(std::make_unique<RawClient>(scene.node.port()));
    CHECK(clients.back()->fetch("/").status == 200);
  }
  return clients;
}

bool is_closed_at_once(const Scene& scene) {
  RawClient client = scene.client();
  client.get("/");
  return client.read().status == 0;
}

void wait_for_open(TestNode& node, double count) {
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (node.metric("vignette_connections_open") != count) {
    if (std::chrono::steady_clock::now() > limit) FAIL("never " << count << " connections");
  }
}

// A node whose listener takes clients' addresses from PROXY headers.
std::string behind_balancer(const ScriptedOrigin& origin, std::string_view top) {
  return "[server]\ntrusted = [\"127.0.0.0/8\"]\n" + std::string(top) +
         "[[listener]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n[origin.app]\nservers = [\"" +
         origin.address() +
         "\"]\n[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/*\"\norigin = \"app\"\n";
}

std::string introduce(const std::string& address) {
  const bool is_v6 = address.find(':') != std::string::npos;
  return (is_v6 ? "PROXY TCP6 " + address + " ::1" : "PROXY TCP4 " + address + " 127.0.0.1") + " 1 2\r\n";
}

int ask_from(const TestNode& node, const std::string& address) {
  RawClient balancer(node.port());
  balancer.send(introduce(address) + "GET / HTTP/1.1\r\nHost: test.local\r\n\r\n");
  return balancer.read().status;
}

}  // namespace

TEST_CASE("A client's connections over its limit are closed, and its others are served on") {
  Scene scene(uncached_answers(), "", "[limits]\nconnections_per_client = 3\n", {.workers = 2});
  auto clients = crowd(scene, 3);
  for (int i = 0; i < 5; ++i) CHECK(is_closed_at_once(scene));
  CHECK(connections_refused(scene.node, "too_many_of_client") == 5);
  CHECK(scene.node.log_text().find("connection of 127.0.0.1 closed: too_many_of_client") !=
        std::string::npos);
  for (auto& client : clients) CHECK(client->fetch("/").status == 200);
  clients.pop_back();
  wait_for_open(scene.node, 2);
  CHECK(scene.client().fetch("/").status == 200);
}

TEST_CASE("One client's limit is not another's, and an IPv6 network is one client") {
  ScriptedOrigin origin(uncached_answers());
  TestNode node(behind_balancer(origin, "[limits]\nconnections_per_client = 1\n"));
  std::vector<std::unique_ptr<RawClient>> held;
  for (const std::string& address : {"192.0.2.1"s, "192.0.2.2"s, "2001:db8::1"s, "2001:db8:0:1::1"s}) {
    held.push_back(std::make_unique<RawClient>(node.port()));
    held.back()->send(introduce(address) + "GET / HTTP/1.1\r\nHost: test.local\r\n\r\n");
    CHECK(held.back()->read().status == 200);
  }
  CHECK(ask_from(node, "192.0.2.1") == 0);
  CHECK(ask_from(node, "2001:db8::ffff") == 0);
  CHECK(connections_refused(node, "too_many_of_client") == 2);
  CHECK(ask_from(node, "2001:db8:0:2::1") == 200);
  // The balancer itself speaks for others.
  for (int i = 0; i < 2; ++i) CHECK(ask_from(node, "127.0.0.1") == 200);
}

TEST_CASE("Connections over the node's limit are closed until others end") {
  Scene scene(uncached_answers(), "", "[limits]\nconnections = 2\n", {.workers = 2});
  auto clients = crowd(scene, 2);
  for (int i = 0; i < 5; ++i) CHECK(is_closed_at_once(scene));
  CHECK(connections_refused(scene.node, "too_many_connections") == 5);
  for (auto& client : clients) CHECK(client->fetch("/").status == 200);
  clients.clear();
  wait_for_open(scene.node, 0);
  CHECK(crowd(scene, 2).size() == 2);
}

TEST_CASE("A limit that a reload brings counts the connections that come from then on") {
  Scene scene(uncached_answers());
  auto clients = crowd(scene, 3);
  scene.node.reload(proxy_config(scene.origin, "", "[limits]\nconnections_per_client = 1\n"));
  auto one_more = crowd(scene, 1);
  CHECK(is_closed_at_once(scene));
  for (auto& client : clients) CHECK(client->fetch("/").status == 200);
  scene.node.reload(proxy_config(scene.origin));
  CHECK(scene.client().fetch("/").status == 200);
}

TEST_CASE("Requests over a client's rate are answered 429 and say when to come again") {
  Scene scene(always("Cache-Control: max-age=60\r\n", "ok"), "rate_limit = { requests = 3, per = \"1h\" }",
              "", {.workers = 2, .access_log = true});
  RawClient client = scene.client();
  for (int i = 0; i < 3; ++i) CHECK(client.fetch("/").status == 200);  // hits count too
  for (int i = 0; i < 2; ++i) {
    const RawResponse answer = i == 0 ? client.fetch("/") : scene.client().fetch("/other");
    CHECK(answer.status == 429);
    CHECK(std::stoi(answer.field("retry-after")) > 1000);
    CHECK(std::stoi(answer.field("retry-after")) <= 1200);
  }
  CHECK(scene.origin.calls() == 1);
  CHECK(scene.node.metric("vignette_refusals_total", "reason=\"rate_limited\"") == 2);
  CHECK(scene.node.access_log().back().find("\"reason\":\"rate_limited\"") != std::string::npos);
}

TEST_CASE("A rate for all routes counts what has no route, too") {
  Scene scene(uncached_answers(), "methods = [\"GET\"]",
              "[limits]\nrate_limit = { requests = 3, per = \"1h\" }\n");
  RawClient client = scene.client();
  CHECK(client.fetch("/%00").status == 400);
  RawClient second = scene.client();
  CHECK(second.fetch("/").status == 200);
  second.send("PUT / HTTP/1.1\r\nHost: test.local\r\nContent-Length: 0\r\n\r\n");
  CHECK(second.read().status == 405);
  CHECK(second.fetch("/").status == 429);
}

TEST_CASE("A rate is each client's own, as known through trusted hops, and no hop's") {
  Scene scene(uncached_answers(), "",
              "[server]\ntrusted = [\"127.0.0.1\"]\n[limits]\nrate_limit = { requests = 1, per = \"1h\" }\n");
  const auto status_of = [&](const std::string& address) {
    return scene.client().fetch("/", address.empty() ? "" : "X-Forwarded-For: " + address + "\r\n").status;
  };
  for (const std::string& address : {"192.0.2.1"s, "192.0.2.2"s, "2001:db8::1"s, "2001:db8:0:1::1"s}) {
    CHECK(status_of(address) == 200);
  }
  CHECK(status_of("192.0.2.1") == 429);
  CHECK(status_of("2001:db8::ffff") == 429);
  for (int i = 0; i < 3; ++i) CHECK(status_of("") == 200);
}

TEST_CASE("A route's rate and that of all routes hold side by side") {
  ScriptedOrigin origin(uncached_answers());
  TestNode node(
      "[limits]\nrate_limit = { requests = 5, per = \"1h\" }\n[[listener]]\naddress = \"127.0.0.1:0\"\n"
      "[origin.app]\nservers = [\"" +
      origin.address() +
      "\"]\n[[site]]\nhosts = [\"*\"]\n"
      "[[site.route]]\npath = \"/login\"\norigin = \"app\"\nrate_limit = { requests = 1, per = \"1h\", burst "
      "= 2 }\n"
      "[[site.route]]\npath = \"/*\"\norigin = \"app\"\n");
  RawClient client(node.port());
  CHECK(client.fetch("/login").status == 200);
  CHECK(client.fetch("/login").status == 200);
  CHECK(client.fetch("/login").status == 429);
  CHECK(client.fetch("/").status == 200);
  CHECK(client.fetch("/").status == 200);
  CHECK(client.fetch("/").status == 429);
}

TEST_CASE("Handshakes that never end are limited in number and in time, and do not keep others out") {
  TempDir dir;
  const std::string chain = dir.path() + "/chain.pem", key = dir.path() + "/key.pem";
  const std::vector<std::string> names{"test.local"};
  REQUIRE(net::make_self_signed(names, chain, key));
  ScriptedOrigin origin(uncached_answers());
  TestNode node(
      "[limits]\nhandshakes = 2\n[timeouts]\nhandshake = \"2s\"\n[[listener]]\naddress = "
      "\"127.0.0.1:0\"\ntls = true\n"
      "[[listener]]\naddress = \"127.0.0.1:0\"\n[[certificate]]\nchain = \"" +
      chain + "\"\nkey = \"" + key + "\"\n[origin.app]\nservers = [\"" + origin.address() +
      "\"]\n[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/*\"\norigin = \"app\"\n");
  RawClient first(node.port(0)), second(node.port(0));
  wait_for_open(node, 2);
  RawClient third(node.port(0));
  CHECK(third.at_end());
  CHECK(connections_refused(node, "too_many_handshakes") == 1);
  CHECK(RawClient(node.port(1)).fetch("/").status == 200);  // plain connections shake no hands
  CHECK(first.at_end());
  CHECK(second.at_end());
  CHECK(node.metric("vignette_tls_handshakes_failed_total") == 2);
  CHECK(connections_refused(node, "too_many_handshakes") == 1);
  wait_for_open(node, 0);
  RawClient fourth(node.port(0));
  wait_for_open(node, 1);
  CHECK(connections_refused(node, "too_many_handshakes") == 1);
}

TEST_CASE("Many heads that drip are each answered 408, and another client's requests all succeed") {
  Scene scene(uncached_answers(), "", "[timeouts]\nheader = \"1s\"\n");
  RawClient normal = scene.client();
  CHECK(normal.fetch("/").status == 200);
  std::vector<std::unique_ptr<RawClient>> slow;
  for (int i = 0; i < 100; ++i) {
    slow.push_back(std::make_unique<RawClient>(scene.node.port()));
    slow.back()->send("GET / HTTP/1.1\r\nHost: test.local\r\nX-Slow: ");
  }
  for (int i = 0; i < 50; ++i) {
    for (auto& client : slow) client->send("x");
    CHECK(normal.fetch("/").status == 200);
  }
  for (auto& client : slow) CHECK(client->read().status == 408);
  CHECK(scene.node.metric("vignette_refusals_total", "reason=\"header_timeout\"") == 100);
  CHECK(normal.fetch("/").status == 200);
}

TEST_CASE("Heads without end are cut at their limit, and another client's requests all succeed") {
  Scene scene(uncached_answers());
  RawClient normal = scene.client();
  for (const std::string& line :
       {"X-Bomb: "s + std::string(8'000, 'x') + "\r\n", "a:\r\n"s, std::string(8'000, 'n')}) {
    std::string bomb = "GET / HTTP/1.1\r\nHost: test.local\r\n";
    while (bomb.size() < 200'000) bomb += line;
    RawClient bomber = scene.client();
    bomber.send(bomb);
    CHECK(bomber.read().status == 431);
    CHECK(normal.fetch("/").status == 200);
  }
  CHECK(scene.origin.calls() == 3);
}
