// WebSocket connections: the handshake, and the tunnel that it opens between a client and an origin.
#include <catch2/catch.hpp>

#include <sys/socket.h>

#include <atomic>
#include <optional>
#include <string>

#include "tests/component/scene.h"

using namespace vignette::test;
using namespace std::string_literals;

namespace {

const std::string kHandshake =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const std::string kAgreed =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
constexpr std::string_view kAllowed = "websocket = true";

bool agree(const OriginCall&, const ScriptedOrigin::Send& send) { return send(kAgreed); }

// Bytes until there are so many, or the end.
std::string take_bytes(RawClient& client, std::size_t size) {
  std::string text;
  char bytes[16384];
  while (text.size() < size) {
    const ssize_t got = ::recv(client.descriptor(), bytes, std::min(sizeof bytes, size - text.size()), 0);
    if (got <= 0) break;
    text.append(bytes, static_cast<std::size_t>(got));
  }
  return text;
}

// The head of an answer, read byte by byte so that what follows stays.
std::string read_handshake(RawClient& client) {
  std::string head;
  while (!head.ends_with("\r\n\r\n")) {
    const std::string byte = take_bytes(client, 1);
    if (byte.empty()) break;
    head += byte;
  }
  return head;
}

std::string handshake_request(std::string_view lines = kHandshake) {
  return "GET /chat HTTP/1.1\r\nHost: test.local\r\n" + std::string(lines) + "\r\n";
}

// After the handshake; what a tunnel carries is framed like requests here, so that the scripted origin, which
// reads those, can answer.
struct OpenTunnel {
  explicit OpenTunnel(const Scene& scene) : client(scene.client()) {
    client.send(handshake_request());
    head = read_handshake(client);
  }
  RawClient client;
  std::string head;
};

std::string tunnel_message(std::string_view name, std::string_view body = "") {
  return "MSG " + std::string(name) + " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

// Agrees to a handshake, and then answers each message with its own body.
bool echo_messages(const OriginCall& call, const ScriptedOrigin::Send& send) {
  return send(call.method == "MSG" ? call.body : kAgreed);
}

void wait_for_value(TestNode& node, std::string_view name, std::string_view labels, double value) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (node.metric(name, labels) != value) {
    if (std::chrono::steady_clock::now() > limit) FAIL(name << " never was " << value);
  }
}

double tunnels_ended(TestNode& node, std::string_view reason) {
  return node.metric("vignette_tunnels_ended_total", "reason=\"" + std::string(reason) + "\"");
}

}  // namespace

TEST_CASE("A handshake that both sides agree to becomes a tunnel") {
  Scene scene(echo_messages, kAllowed, "", {.access_log = true});
  OpenTunnel tunnel(scene);
  CHECK(tunnel.head.starts_with("HTTP/1.1 101 "));
  CHECK(tunnel.head.find("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n") != std::string::npos);
  CHECK(tunnel.head.find("\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") != std::string::npos);
  CHECK(tunnel.head.find("ontent-") == std::string::npos);
  const OriginCall asked = scene.origin.log().at(0);
  CHECK(asked.field("connection") == "Upgrade");
  CHECK(asked.field("upgrade") == "websocket");
  CHECK(asked.field("sec-websocket-key") == "dGhlIHNhbXBsZSBub25jZQ==");
  CHECK(asked.field("x-forwarded-for") == "127.0.0.1");
  CHECK(scene.node.metric("vignette_tunnels_open") == 1);
  for (const std::string& body : {"one"s, "two"s, pattern(1 << 20)}) {
    tunnel.client.send(tunnel_message("m", body));
    CHECK(take_bytes(tunnel.client, body.size()) == body);
  }
  CHECK(scene.node.access_log().empty());
  tunnel.client.close();
  wait_for_value(scene.node, "vignette_connections_open", "", 0);
  CHECK(scene.node.metric("vignette_tunnels_open") == 0);
  CHECK(scene.node.metric("vignette_tunnels_total") == 1);
  CHECK(scene.node.metric("vignette_tunnel_bytes_total", "to=\"client\"") == 6 + (1 << 20));
  REQUIRE(scene.node.access_log().size() == 1);
  const std::string line = scene.node.access_log()[0];
  const std::size_t sent = tunnel.head.size() + 6 + (1 << 20);
  const std::size_t received =
      tunnel_message("m", "one").size() * 2 + tunnel_message("m", pattern(1 << 20)).size();
  CHECK(line.find("\"status\":101,\"sent\":" + std::to_string(sent) +
                  ",\"received\":" + std::to_string(received)) != std::string::npos);
  CHECK(line.find("\"reason\"") == std::string::npos);
}

TEST_CASE("Bytes that came right behind the handshake go through first, on both sides") {
  Scene scene(
      [](const OriginCall& call, const ScriptedOrigin::Send& send) {
        return send(call.method == "MSG" ? call.body : kAgreed + "welcome ");
      },
      kAllowed);
  RawClient client = scene.client();
  client.send(handshake_request() + tunnel_message("early", "eager"));
  CHECK(read_handshake(client).starts_with("HTTP/1.1 101 "));
  CHECK(take_bytes(client, 13) == "welcome eager");
}

TEST_CASE("A route that does not allow it treats a handshake as a request like any other") {
  Scene scene(always("Cache-Control: no-store\r\n", "plain"));
  RawClient client = scene.client();
  client.send(handshake_request());
  CHECK(client.read().body == "plain");
  CHECK(scene.origin.log().at(0).field("upgrade").empty());
  client.send(handshake_request());
  CHECK(client.read().body == "plain");
}

TEST_CASE("An origin that does not agree answers as to any request") {
  for (const auto& [status, body] : {std::pair(200, "page"), std::pair(403, "no"), std::pair(426, "other")}) {
    Scene scene(
        [status, body](const OriginCall&, const ScriptedOrigin::Send& send) {
          return send(ScriptedOrigin::answer(status, "Sec-WebSocket-Version: 7\r\n", body));
        },
        kAllowed);
    RawClient client = scene.client();
    for (int i = 0; i < 2; ++i) {
      client.send(handshake_request());
      const RawResponse answer = client.read();
      CHECK(answer.status == status);
      CHECK(answer.body == body);
      CHECK(answer.field("sec-websocket-version") == "7");
    }
    CHECK(scene.origin.connections() == 1);
    CHECK(scene.node.metric("vignette_tunnels_total") == 0);
  }
}

TEST_CASE("A 101 that nobody asked for, or for something else, is no answer") {
  for (const std::string& lines :
       {"Upgrade: h2c\r\nConnection: Upgrade\r\n"s, "Connection: Upgrade\r\n"s, "Upgrade: websocket\r\n"s,
        "Upgrade: websocket\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"s, ""s}) {
    INFO(lines);
    Scene scene(
        [lines](const OriginCall&, const ScriptedOrigin::Send& send) {
          return send("HTTP/1.1 101 Switching\r\n" + lines + "\r\nsmuggled");
        },
        kAllowed);
    RawClient client = scene.client();
    client.send(handshake_request());
    CHECK(client.read().status == 502);
    CHECK(scene.node.metric("vignette_tunnels_total") == 0);
  }
  Scene scene(agree, kAllowed);
  CHECK(scene.client().fetch("/").status == 502);
  Scene other(agree);
  RawClient client = other.client();
  client.send(handshake_request());
  CHECK(client.read().status == 502);
}

TEST_CASE("A handshake that is none is refused before the origin hears of it") {
  Scene scene(echo_messages, kAllowed);
  const auto status_of = [&](const std::string& lines) {
    RawClient client = scene.client();
    client.send(handshake_request("Connection: Upgrade\r\nUpgrade: websocket\r\n" + lines));
    return client.read().status;
  };
  const std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const std::string version = "Sec-WebSocket-Version: 13\r\n";
  CHECK(status_of(key) == 400);
  CHECK(status_of(version) == 400);
  CHECK(status_of(version + key + key) == 400);
  CHECK(status_of(version + version + key) == 400);
  CHECK(status_of(version + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n") == 400);
  CHECK(status_of(version + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ?==\r\n") == 400);
  CHECK(scene.origin.calls() == 0);
  CHECK(scene.node.metric("vignette_refusals_total", "bad_websocket") == 6);
}

TEST_CASE("A side that has ended its direction still gets what the other sends") {
  Gate gate;
  Scene scene(
      [&](const OriginCall& call, const ScriptedOrigin::Send& send) {
        if (call.method != "MSG") return send(kAgreed);
        gate.wait();
        send("last words");
        return false;  // the origin's end
      },
      kAllowed);
  OpenTunnel tunnel(scene);
  tunnel.client.send(tunnel_message("bye"));
  tunnel.client.shutdown_write();
  REQUIRE(scene.origin.wait_for_calls(2));
  gate.open();
  CHECK(tunnel.client.read_to_end() == "last words");
  wait_for_value(scene.node, "vignette_connections_open", "", 0);
  CHECK(tunnels_ended(scene.node, "closed") == 1);
}

TEST_CASE("A side that is reset takes the other along") {
  Scene scene(echo_messages, kAllowed, "", {.access_log = true});
  OpenTunnel tunnel(scene);
  tunnel.client.reset();
  wait_for_value(scene.node, "vignette_connections_open", "", 0);
  CHECK(tunnels_ended(scene.node, "client_gone") == 1);
  REQUIRE(scene.node.access_log().size() == 1);
  CHECK(scene.node.access_log()[0].find("\"reason\":\"client_gone\"") != std::string::npos);
}

TEST_CASE("A tunnel on which nothing moves is closed after its idle time, and not before") {
  Scene scene(echo_messages, kAllowed, "[timeouts]\ntunnel = \"200ms\"\n");
  OpenTunnel tunnel(scene);
  // Longer than the idle time in all, and never idle.
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(400);
  while (std::chrono::steady_clock::now() < until) {
    tunnel.client.send(tunnel_message("m", "tick"));
    REQUIRE(take_bytes(tunnel.client, 4) == "tick");
  }
  CHECK(tunnel.client.at_end());
  wait_for_value(scene.node, "vignette_connections_open", "", 0);
  CHECK(tunnels_ended(scene.node, "tunnel_idle") == 1);
}

TEST_CASE("A client that takes nothing stops its origin, and the node holds no more than a few pieces") {
  std::atomic<std::size_t> sent{0};
  const std::string piece(1 << 20, 'x');
  Scene scene(
      [&](const OriginCall&, const ScriptedOrigin::Send& send) {
        send(kAgreed);
        while (send(piece)) sent += piece.size();
        return false;
      },
      kAllowed, "[timeouts]\ntunnel = \"300ms\"\n");
  OpenTunnel tunnel(scene);
  wait_for_value(scene.node, "vignette_connections_open", "", 0);
  CHECK(tunnels_ended(scene.node, "tunnel_stalled") == 1);
  // What fits into the buffers of four sockets on loopback.
  CHECK(sent < (std::size_t{64} << 20));
}

TEST_CASE("A drain lets tunnels go on, and none begins on its connections afterwards") {
  Scene scene(echo_messages, kAllowed);
  OpenTunnel tunnel(scene);
  scene.node.drain();
  scene.node.settle();
  tunnel.client.send(tunnel_message("m", "still here"));
  CHECK(take_bytes(tunnel.client, 10) == "still here");
  CHECK(scene.node.metric("vignette_connections_open") == 1);
  tunnel.client.shutdown_write();
  CHECK(tunnel.client.at_end());
  wait_for_value(scene.node, "vignette_connections_open", "", 0);
}

TEST_CASE("A node that ends closes its tunnels") {
  std::optional<ScriptedOrigin> origin(std::in_place, echo_messages);
  auto node = std::make_unique<TestNode>(proxy_config(*origin, kAllowed));
  RawClient client(node->port());
  client.send(handshake_request());
  CHECK(read_handshake(client).starts_with("HTTP/1.1 101 "));
  node.reset();
  CHECK(client.at_end());
}
