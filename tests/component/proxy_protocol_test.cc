// The PROXY protocol: what a load balancer in front says of its clients, and what origins are told of ours.
#include <catch2/catch.hpp>

#include <map>
#include <string>
#include <tuple>

#include "tests/component/large_origin.h"
#include "tests/component/scene.h"

using namespace vignette::test;
using namespace std::string_literals;

namespace {

constexpr std::string_view kBalancer = "[server]\ntrusted = [\"127.0.0.0/8\"]\n";
const std::string kFromFour = "PROXY TCP4 203.0.113.9 198.51.100.1 40001 443\r\n";
const std::string kFromSix = "\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\x20\x01\x0d\xb8"s + std::string(11, '\0') +
                             "\x07" + std::string(15, '\0') + "\x01\x13\x88\0\x50"s;
const std::string kLocalCommand = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"s;

// A node whose only listener expects PROXY headers.
struct BehindBalancer {
  explicit BehindBalancer(std::string_view listener = "proxy_protocol = true",
                          std::string_view top = kBalancer)
      : origin(always("Cache-Control: no-store\r\n", "ok")),
        node(std::string(top) + "\n[[listener]]\naddress = \"127.0.0.1:0\"\n" + std::string(listener) +
                 "\n[origin.app]\nservers = [\"" + origin.address() +
                 "\"]\n[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/*\"\norigin = \"app\"\n",
             {.access_log = true}) {}

  double refused(std::string_view reason) {
    return node.metric("vignette_connections_refused_total", "reason=\"" + std::string(reason) + "\"");
  }

  ScriptedOrigin origin;
  TestNode node;
};

std::string get_request(std::string_view lines = "") {
  return "GET / HTTP/1.1\r\nHost: test.local\r\n" + std::string(lines) + "\r\n";
}

// Version 2 has an empty line in its signature, which the scripted origin takes for the end of a first
// request.
bool answer_behind_header(const OriginCall& call, const ScriptedOrigin::Send& send) {
  return call.head == "\r\n\r\n" || send(ScriptedOrigin::answer(200, "Cache-Control: no-store\r\n", "ok"));
}

// What stands before the request line that the origin gets.
std::string introduction(const OriginCall& call) { return call.head.substr(0, call.head.find("GET /")); }

}  // namespace

TEST_CASE("The client that a trusted load balancer names is the client") {
  BehindBalancer scene;
  for (const auto& [header, client, port] :
       {std::tuple(kFromFour, "203.0.113.9"s, "443"s), std::tuple(kFromSix, "2001:db8::7"s, "80"s),
        std::tuple("PROXY UNKNOWN\r\n"s, "127.0.0.1"s, ""s), std::tuple(kLocalCommand, "127.0.0.1"s, ""s)}) {
    INFO(client);
    RawClient balancer(scene.node.port());
    balancer.send(header + get_request());
    CHECK(balancer.read().status == 200);
    balancer.send(get_request());  // the header is the connection's, not the request's
    CHECK(balancer.read().status == 200);
    const OriginCall call = scene.origin.log().back();
    CHECK(call.field("x-forwarded-for") == client);
    CHECK(call.field("x-real-ip") == client);
    CHECK(call.field("x-forwarded-port") == (port.empty() ? std::to_string(scene.node.port()) : port));
    CHECK(scene.node.access_log().back().find("\"client\":\"" + client + "\"") != std::string::npos);
  }
  CHECK(scene.node.metric("vignette_connections_refused_total") == 0);
}

TEST_CASE("A client that is named by a PROXY header is not itself believed") {
  BehindBalancer scene;
  RawClient balancer(scene.node.port());
  balancer.send(kFromFour + get_request("X-Forwarded-For: 1.2.3.4\r\n"));
  CHECK(balancer.read().status == 200);
  CHECK(scene.origin.log().back().field("x-forwarded-for") == "203.0.113.9");
}

TEST_CASE("A connection without a header, with a bad one or with half of one is closed unanswered") {
  BehindBalancer scene;
  const auto ends_unanswered = [&](const std::string& bytes) {
    RawClient client(scene.node.port());
    client.send(bytes);
    client.shutdown_write();
    return client.read_to_end().empty();
  };
  CHECK(ends_unanswered(get_request()));
  CHECK(scene.refused("proxy_missing") == 1);
  CHECK(ends_unanswered("PROXY TCP4 203.0.113.9 198.51.100.1 040001 443\r\n" + get_request()));
  CHECK(scene.refused("proxy_malformed") == 1);
  CHECK(ends_unanswered("PROXY TCP4 203.0.113.9"));
  CHECK(scene.refused("proxy_missing") == 2);
  CHECK(ends_unanswered("PROXY UNKNOWN " + std::string(100, 'x')));
  CHECK(scene.refused("proxy_too_long") == 1);
  CHECK(scene.origin.calls() == 0);
  CHECK(scene.node.log_text().find("connection of 127.0.0.1 closed: proxy_missing") != std::string::npos);
  // A look whether somebody listens is no fault.
  CHECK(ends_unanswered(""));
  CHECK(scene.node.metric("vignette_connections_refused_total") == 4);
}

TEST_CASE("A header that does not come in time ends the connection") {
  BehindBalancer scene("proxy_protocol = true", std::string(kBalancer) + "[timeouts]\nheader = \"50ms\"\n");
  RawClient silent(scene.node.port());
  CHECK(silent.at_end());
  RawClient half(scene.node.port());
  half.send("PROXY TCP4 ");
  CHECK(half.at_end());
  CHECK(scene.refused("proxy_timeout") == 2);
}

TEST_CASE("Nobody else may speak for clients") {
  BehindBalancer scene("proxy_protocol = [\"10.0.0.0/8\"]");
  RawClient stranger(scene.node.port());
  stranger.send(kFromFour + get_request());
  CHECK(stranger.at_end());
  CHECK(scene.refused("proxy_untrusted") == 1);
  CHECK(scene.origin.calls() == 0);
}

TEST_CASE("An origin is told of the client, and clients share no connection to it") {
  for (const std::string version : {"v1", "v2"}) {
    INFO(version);
    ScriptedOrigin origin(answer_behind_header);
    TestNode node(std::string(kBalancer) +
                  "[[listener]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n" +
                  "[origin.app]\nproxy_protocol = \"" + version + "\"\nservers = [\"" + origin.address() +
                  "\"]\n[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/*\"\norigin = \"app\"\n");
    for (const char client : {'1', '2', '1', '3', '2', '1'}) {
      RawClient balancer(node.port());
      balancer.send("PROXY TCP4 203.0.113."s + client + " 198.51.100.1 40001 443\r\n" + get_request());
      CHECK(balancer.read().status == 200);
    }
    CHECK(origin.connections() == 3);
    std::map<int, std::string> client_of;  // by connection
    for (const OriginCall& call : origin.log()) {
      if (call.head == "\r\n\r\n") continue;
      const std::string client = call.field("x-real-ip");
      const bool first = client_of.emplace(call.connection, client).second;
      CHECK(client_of[call.connection] == client);
      const std::string expected = version == "v1" ? "PROXY TCP4 " + client + " 198.51.100.1 40001 443\r\n"
                                                   : "\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71"s +
                                                         static_cast<char>(client.back() - '0') +
                                                         "\xc6\x33\x64\x01\x9c\x41\x01\xbb";
      CHECK(introduction(call) == (first ? expected : ""));
    }
  }
}

TEST_CASE("What the node asks for itself names no client") {
  ScriptedOrigin origin(answer_behind_header);
  TestNode node(
      "[[listener]]\naddress = \"127.0.0.1:0\"\n[origin.app]\nproxy_protocol = \"v1\"\nservers = [\"" +
      origin.address() +
      "\"]\nhealth = { path = \"/healthz\" }\n[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/*\"\n"
      "origin = \"app\"\n");
  REQUIRE(origin.wait_for_calls(1));
  CHECK(introduction(origin.log()[0]) == "PROXY UNKNOWN\r\n");
}

TEST_CASE("Pieces of a large object are for everybody, and name none of them") {
  LargeOrigin large(3 * kMiB);
  ScriptedOrigin origin(large.script());
  TestNode node(
      std::string(kBalancer) + "[[listener]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n" +
      "[origin.app]\nproxy_protocol = \"v1\"\nservers = [\"" + origin.address() +
      "\"]\n[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/*\"\norigin = \"app\"\ncache = \"on\"\n");
  RawClient balancer(node.port());
  balancer.send(kFromFour + get_request("Range: bytes=0-9\r\n"));
  CHECK(balancer.read().status == 206);
  const std::string last = std::to_string(2 * kMiB) + "-" + std::to_string(3 * kMiB - 1);
  balancer.send(get_request("Range: bytes=" + last + "\r\n"));
  CHECK(balancer.read().body == large.now().bytes(2 * kMiB, 3 * kMiB - 1));
  const auto calls = origin.log();
  REQUIRE(calls.size() == 2);
  CHECK(introduction(calls[0]) == kFromFour);
  CHECK(introduction(calls[1]) == "PROXY UNKNOWN\r\n");
}
