// The client's connection: what keeps it, what ends it, and in which order answers come.
#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "tests/component/scene.h"

using namespace vignette::test;
using namespace std::string_literals;

namespace {

constexpr const char* kStored = "Cache-Control: max-age=60\r\nETag: \"v1\"\r\n";

std::string get(std::string_view target, std::string_view lines = "") {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: test.local\r\n" + std::string(lines) + "\r\n";
}

// Answers with the target as the body.
bool echo_target(const OriginCall& call, const ScriptedOrigin::Send& send) {
  return send(ScriptedOrigin::answer(200, kStored, call.target));
}

// Answers with the body of the request, chunked.
bool echo_chunked(const OriginCall& call, const ScriptedOrigin::Send& send) {
  std::string text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (std::size_t at = 0; at < call.body.size(); at += 1000) {
    std::string piece = call.body.substr(at, 1000);
    char size[16];
    std::snprintf(size, sizeof size, "%zx", piece.size());
    text += std::string(size) + ";x=y\r\n" + piece + "\r\n";
  }
  return send(text + "0\r\nX-Trailer: 1\r\n\r\n");
}

}  // namespace

TEST_CASE("A connection serves one request after the other") {
  Scene scene(echo_target);
  RawClient client = scene.client();
  for (int i = 0; i < 5; ++i) {
    std::string target = "/" + std::to_string(i);
    RawResponse answer = client.fetch(target);
    CHECK(answer.status == 200);
    CHECK(answer.body == target);
    CHECK(answer.field("connection").empty());
  }
  CHECK(scene.origin.calls() == 5);
  CHECK(scene.origin.connections() == 1);
  CHECK(scene.node.metric("vignette_connections_accepted_total") == 1);
}

TEST_CASE("Pipelined requests are answered in order") {
  Scene scene(echo_target);
  RawClient client = scene.client();
  client.send(get("/1") + get("/2") + get("/missing/../3") + get("/4"));
  for (const char* body : {"/1", "/2", "/missing/../3", "/4"}) {
    RawResponse answer = client.read();
    CHECK(answer.status == 200);
    CHECK(answer.body == (body == "/missing/../3"s ? "/3" : body));
  }
}

TEST_CASE("Pipelined hits leave in one write") {
  Scene scene(echo_target);
  RawClient client = scene.client();
  for (const char* target : {"/a", "/b", "/c"}) client.fetch(target);
  client.send(get("/a") + get("/b") + get("/c"));
  // Three answers far smaller than a segment: what the first read brings was one write.
  char bytes[16384];
  ssize_t got = ::recv(client.descriptor(), bytes, sizeof bytes, 0);
  REQUIRE(got > 0);
  std::string_view text(bytes, static_cast<std::size_t>(got));
  CHECK(text.find("\r\n\r\n/a") != std::string_view::npos);
  CHECK(text.find("\r\n\r\n/b") != std::string_view::npos);
  CHECK(text.ends_with("\r\n\r\n/c"));
  CHECK(scene.origin.calls() == 3);
}

TEST_CASE("A pipelined hit does not wait for the slow request behind it") {
  Gate gate;
  Scene scene([&](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.target == "/slow") gate.wait();
    return echo_target(call, send);
  });
  RawClient client = scene.client();
  client.fetch("/a");
  client.send(get("/a") + get("/slow"));
  CHECK(client.read().body == "/a");
  gate.open();
  CHECK(client.read().body == "/slow");
}

TEST_CASE("An answer does not wait for the rest of a request that is only empty lines yet") {
  Scene scene(echo_target);
  RawClient client = scene.client();
  client.fetch("/a");
  client.send(get("/a") + "\r\n\r\n");
  CHECK(client.read().body == "/a");
  client.send(get("/b"));
  CHECK(client.read().body == "/b");
}

TEST_CASE("A client that asks to close is answered, and what it sent behind is not") {
  Scene scene(echo_target);
  scene.client().fetch("/a");
  for (const char* target : {"/a", "/b"}) {
    RawClient client = scene.client();
    client.send(get(target, "Connection: close\r\n") + get("/behind"));
    RawResponse answer = client.read();
    CHECK(answer.status == 200);
    CHECK(answer.body == target);
    CHECK(answer.field("connection") == "close");
    CHECK(client.at_end());
  }
  for (const OriginCall& call : scene.origin.log()) CHECK(call.target != "/behind");
}

TEST_CASE("HTTP/1.0 closes unless asked to stay, and gets no chunks") {
  Scene scene([](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.target == "/chunked") {
      return send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    }
    return echo_target(call, send);
  });
  RawClient once = scene.client();
  once.send("GET /a HTTP/1.0\r\n\r\n");
  RawResponse answer = once.read();
  CHECK(answer.body == "/a");
  CHECK(answer.head.starts_with("HTTP/1.1 200"));
  CHECK(once.at_end());

  RawClient stays = scene.client();
  for (int i = 0; i < 2; ++i) {
    stays.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    answer = stays.read();
    CHECK(answer.body == "/a");
    CHECK(answer.field("connection") == "keep-alive");
  }

  stays.send("GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  answer = stays.read();
  CHECK(answer.field("transfer-encoding").empty());
  CHECK(answer.body == "hello");
  CHECK(answer.complete);
}

TEST_CASE("Bodies pass chunked in both directions, re-framed and without trailers") {
  Scene scene(echo_chunked, "uploads = \"stream\"");
  RawClient client = scene.client();
  std::string body = pattern(300'000);
  std::string request = "POST /up HTTP/1.1\r\nHost: test.local\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (std::size_t at = 0; at < body.size(); at += 7777) {
    std::string piece = body.substr(at, 7777);
    char size[16];
    std::snprintf(size, sizeof size, "%zX", piece.size());
    request += std::string(size) + "\r\n" + piece + "\r\n";
  }
  client.send(request + "0\r\nX-Client-Trailer: 1\r\n\r\n" + get("/next"));
  RawResponse answer = client.read();
  CHECK(answer.status == 200);
  CHECK(answer.field("transfer-encoding") == "chunked");
  CHECK((answer.body == body));
  CHECK(answer.complete);
  CHECK(client.read().status == 200);
  OriginCall call = scene.origin.log().front();
  CHECK((call.body == body));
  CHECK(call.field("transfer-encoding") == "chunked");
  CHECK(call.field("content-length").empty());
  CHECK(call.field("x-client-trailer").empty());
}

TEST_CASE("A body of known length keeps its length on the way to the origin") {
  Scene scene(echo_chunked);
  RawClient client = scene.client();
  std::string body = pattern(200'000);
  client.send("PUT /up HTTP/1.1\r\nHost: test.local\r\nContent-Length: 200000\r\n\r\n" + body + get("/next"));
  RawResponse answer = client.read();
  CHECK((answer.body == body));
  CHECK(client.read().status == 200);
  CHECK(scene.origin.log().front().field("content-length") == "200000");
}

TEST_CASE("A client that waits for 100 Continue gets it from us, and the origin never sees Expect") {
  Scene scene(always("", "ok"));
  RawClient client = scene.client();
  client.send("POST / HTTP/1.1\r\nHost: test.local\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  char bytes[256];
  ssize_t got = ::recv(client.descriptor(), bytes, sizeof bytes, 0);
  REQUIRE(got > 0);
  CHECK(std::string(bytes, static_cast<std::size_t>(got)) == "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(scene.origin.calls() == 0);
  client.send("hello" + get("/next"));
  CHECK(client.read().status == 200);
  CHECK(client.read().status == 200);
  OriginCall call = scene.origin.log().front();
  CHECK(call.body == "hello");
  CHECK(call.field("expect").empty());
}

TEST_CASE("A body that is refused by its length is not asked for") {
  Scene scene(always("", "ok"), "max_body = \"1KiB\"");
  RawClient client = scene.client();
  client.send("POST / HTTP/1.1\r\nHost: test.local\r\nExpect: 100-continue\r\nContent-Length: 1025\r\n\r\n");
  RawResponse answer = client.read();
  CHECK(answer.status == 413);
  CHECK(client.interim() == 0);
  CHECK(answer.field("connection") == "close");
  CHECK(client.at_end());
  CHECK(scene.origin.calls() == 0);
}

TEST_CASE("A body of exactly the limit passes, one byte more is answered 413") {
  Scene scene(always("", "ok"), "max_body = \"1KiB\"");
  std::string body(1024, 'x');
  RawClient fits = scene.client();
  fits.send("POST / HTTP/1.1\r\nHost: test.local\r\nContent-Length: 1024\r\n\r\n" + body);
  CHECK(fits.read().status == 200);
  fits.send("POST / HTTP/1.1\r\nHost: test.local\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + body +
            "\r\n0\r\n\r\n");
  CHECK(fits.read().status == 200);

  RawClient over = scene.client();
  over.send("POST / HTTP/1.1\r\nHost: test.local\r\nContent-Length: 1025\r\n\r\nx" + body);
  CHECK(over.read().status == 413);
  CHECK(over.at_end());
  RawClient chunks = scene.client();
  chunks.send("POST / HTTP/1.1\r\nHost: test.local\r\nTransfer-Encoding: chunked\r\n\r\n401\r\nx" + body +
              "\r\n0\r\n\r\n");
  CHECK(chunks.read().status == 413);
  CHECK(chunks.at_end());
  CHECK(scene.origin.calls() == 2);
}

TEST_CASE("A body that stalls is answered 408") {
  Scene scene(always("", "ok"), "", "[timeouts]\nbody_stall = \"60ms\"\n");
  RawClient client = scene.client();
  client.send("POST / HTTP/1.1\r\nHost: test.local\r\nContent-Length: 5\r\n\r\nhe");
  CHECK(client.read().status == 408);
  CHECK(client.at_end());
  CHECK(scene.origin.calls() == 0);
}

TEST_CASE("A client that closed its sending side is still answered") {
  Gate gate;
  Scene scene([&](const OriginCall& call, const ScriptedOrigin::Send& send) {
    gate.wait();
    return echo_target(call, send);
  });
  RawClient client = scene.client();
  client.send(get("/a"));
  client.shutdown_write();
  REQUIRE(scene.origin.wait_for_calls(1));
  gate.open();
  RawResponse answer = client.read();
  CHECK(answer.body == "/a");
  CHECK(answer.complete);
  CHECK(client.at_end());
}

TEST_CASE(
    "An origin's answer that comes before the body was read is passed on and ends the connection (row 25)") {
  ScriptedOrigin origin(
      [](const OriginCall&, const ScriptedOrigin::Send& send) {
        send(ScriptedOrigin::answer(403, "", "no"));
        return true;
      },
      ScriptedOrigin::Read::head_only);
  TestNode node(proxy_config(origin, "max_body = \"1GiB\"\nuploads = \"stream\""));
  RawClient client(node.port());
  client.send("POST /a HTTP/1.1\r\nHost: test.local\r\nContent-Length: 100000000\r\n\r\n");
  // Sends on until there is an answer; the whole body is more than all buffers hold.
  const std::string piece(64 * 1024, 'x');
  for (int i = 0; i < 1000; ++i) {
    pollfd readable{.fd = client.descriptor(), .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, 0) == 1) break;
    client.send(piece);
  }
  RawResponse answer = client.read();
  CHECK(answer.status == 403);
  CHECK(answer.body == "no");
  CHECK(answer.field("connection") == "close");
  client.send(get("/behind"));
  CHECK(client.read_to_end().empty());
}

TEST_CASE("A refusal before the body was read ends the connection (row 25)") {
  Scene scene(always("", "ok"));
  RawClient client = scene.client();
  client.send("POST / HTTP/1.1\r\nHost: test.local\r\nCDN-Loop: vignette\r\nContent-Length: 1000\r\n\r\n");
  RawResponse answer = client.read();
  CHECK(answer.status == 508);
  CHECK(answer.field("connection") == "close");
  client.send(std::string(1000, 'x') + get("/behind"));
  CHECK(client.read_to_end().empty());
  CHECK(scene.origin.calls() == 0);
}

TEST_CASE("HEAD gets the head of GET and no body") {
  Scene scene(always(kStored, "hello"), "cache = \"on\"");
  RawClient client = scene.client();
  client.send("HEAD /a HTTP/1.1\r\nHost: test.local\r\n\r\n");
  RawResponse cold = client.read(true);
  CHECK(cold.status == 200);
  CHECK(cold.field("content-length") == "5");
  RawResponse whole = client.fetch("/a");
  CHECK(whole.body == "hello");
  client.send("HEAD /a HTTP/1.1\r\nHost: test.local\r\n\r\n" + get("/a"));
  RawResponse warm = client.read(true);
  CHECK(warm.field("content-length") == "5");
  CHECK(warm.field("etag") == "\"v1\"");
  CHECK(warm.field("cache-status").find("hit") != std::string::npos);
  CHECK(client.read().body == "hello");
  CHECK(scene.origin.calls() == 1);
}

TEST_CASE("HEAD is passed through where answers need not be kept, and served where they were") {
  Scene scene(always(kStored, "hello"));
  RawClient client = scene.client();
  client.send("HEAD /a HTTP/1.1\r\nHost: test.local\r\n\r\n");
  RawResponse cold = client.read(true);
  CHECK(cold.field("content-length") == "5");
  CHECK(scene.origin.log().back().method == "HEAD");
  client.fetch("/a");
  client.send("HEAD /a HTTP/1.1\r\nHost: test.local\r\n\r\n");
  RawResponse warm = client.read(true);
  CHECK(warm.field("content-length") == "5");
  CHECK(warm.field("cache-status").find("hit") != std::string::npos);
  CHECK(scene.origin.calls() == 2);
}

TEST_CASE("An idle connection is closed after keep_alive") {
  Scene scene(echo_target, "", "[timeouts]\nkeep_alive = \"60ms\"\n");
  RawClient client = scene.client();
  CHECK(client.fetch("/a").status == 200);
  CHECK(client.at_end());
}

TEST_CASE("A client that is reset while the origin works takes its request along") {
  Gate gate;
  Scene scene([&](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.method == "POST") gate.wait();
    return echo_target(call, send);
  });
  RawClient client = scene.client();
  client.send("POST /a HTTP/1.1\r\nHost: test.local\r\nContent-Length: 0\r\n\r\n");
  REQUIRE(scene.origin.wait_for_calls(1));
  client.reset();
  // Another client is served, and in the end no connection is left open.
  CHECK(scene.client().fetch("/b").status == 200);
  gate.open();
  CHECK(scene.client().fetch("/c").status == 200);
  // Nobody was refused anything.
  scene.node.settle();
  CHECK(scene.node.metric("vignette_refusals_total") == 0);
  CHECK(scene.node.metric("vignette_responses_total", "5xx") == 0);
}

TEST_CASE("A client that does not read is given up after the send stall") {
  Scene scene(always("", std::string(16 << 20, 'x')), "", "[timeouts]\nsend_stall = \"100ms\"\n");
  RawClient client = scene.client();
  client.get("/big");
  REQUIRE(scene.origin.wait_for_calls(1));
  // What lies in the buffers comes, then the end, long before the body is whole.
  while (scene.node.metric("vignette_connections_open") > 0) {
    scene.node.settle();
  }
  RawResponse answer = client.read();
  CHECK(answer.status == 200);
  CHECK_FALSE(answer.complete);
}

TEST_CASE("What is counted as received and sent is what went over the wire, bodies included") {
  Scene scene(always("", std::string(50'000, 'b')));
  const std::string body(300'000, 'x');
  const std::string request = "POST / HTTP/1.1\r\nHost: test.local\r\nConnection: close\r\nContent-Length: " +
                              std::to_string(body.size()) + "\r\n\r\n" + body;
  RawClient client = scene.client();
  client.send(request);
  const std::string answer = client.read_to_end();
  CHECK(answer.size() > 50'000);
  CHECK(scene.node.metric("vignette_received_bytes_total") == static_cast<double>(request.size()));
  CHECK(scene.node.metric("vignette_sent_bytes_total") == static_cast<double>(answer.size()));
}

TEST_CASE("What a client never took is not counted as sent") {
  constexpr std::size_t kSize = std::size_t{16} << 20;
  Scene scene(always("Cache-Control: max-age=60\r\n", std::string(kSize, 'x')), "cache = \"on\"",
              "[timeouts]\nsend_stall = \"100ms\"\n[cache]\nmemory = \"256MiB\"\n");
  scene.client().fetch("/big");
  const double once = scene.node.metric("vignette_sent_bytes_total");
  CHECK(once > kSize);
  RawClient idle = scene.client();
  idle.get("/big");
  while (scene.node.metric("vignette_connections_open") > 0) scene.node.settle();
  CHECK(scene.node.metric("vignette_sent_bytes_total") < 2 * once);
}
