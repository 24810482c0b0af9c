// HTTP/2 from its client's side: the same node, the same answers, other frames.
#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "tests/component/scene.h"
#include "tests/support/h2_client.h"

using namespace vignette::test;

namespace {

constexpr std::uint32_t kNoError = 0;
constexpr std::uint32_t kProtocolError = 1;
constexpr std::uint32_t kCalm = 11;

std::string h2_config(const ScriptedOrigin& origin, std::string_view route = "", std::string_view top = "") {
  std::string text = proxy_config(origin, route, top);
  return text.replace(text.find("[[listener]]\n"), 13, "[[listener]]\nhttp2 = true\n");
}

struct H2Scene {
  explicit H2Scene(ScriptedOrigin::Script script, std::string_view route = "", std::string_view top = "",
                   const TestNode::Options& options = {.access_log = true})
      : origin(std::move(script)), node(h2_config(origin, route, top), options) {}

  ScriptedOrigin origin;
  TestNode node;
};

ScriptedOrigin::Script echo() {
  return [](const OriginCall& call, const ScriptedOrigin::Send& send) {
    return send(ScriptedOrigin::answer(200,
                                       "X-Length: " + call.field("content-length") +
                                           "\r\nX-Coding: " + call.field("transfer-encoding") + "\r\n",
                                       call.body));
  };
}

bool logged(TestNode& node, std::string_view text) {
  for (const std::string& line : node.access_log()) {
    if (line.find(text) != std::string::npos) return true;
  }
  return false;
}

// Returns when the counter is no longer 0.
void wait_until_counted(TestNode& node, std::string_view counter, std::string_view labels = "") {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (node.metric(counter, labels) == 0) {
    if (std::chrono::steady_clock::now() > limit) FAIL("nothing was counted in " << counter << labels);
  }
}

}  // namespace

TEST_CASE("A miss, a hit, HEAD, 304 and a range over HTTP/2") {
  H2Scene scene(
      always("Cache-Control: max-age=60\r\nETag: \"v1\"\r\nContent-Type: image/jpeg\r\n", pattern(100'000)));
  H2Client client(scene.node.port());
  const H2Answer miss = client.fetch("/a.jpg");
  CHECK(miss.status == 200);
  CHECK(miss.body == pattern(100'000));
  CHECK(miss.field("content-length") == "100000");
  CHECK(miss.field("connection").empty());
  const H2Answer hit = client.fetch("/a.jpg");
  CHECK(hit.body == pattern(100'000));
  CHECK(hit.field("cache-status").find("hit") != std::string::npos);
  CHECK(hit.field("content-type") == "image/jpeg");
  CHECK_FALSE(hit.field("date").empty());
  const H2Answer head = client.answer(client.request(h2::request("HEAD", "/a.jpg")));
  CHECK(head.status == 200);
  CHECK(head.field("content-length") == "100000");
  CHECK(head.body.empty());
  CHECK(client.fetch("/a.jpg", {{"if-none-match", "\"v1\""}}).status == 304);
  const H2Answer part = client.fetch("/a.jpg", {{"range", "bytes=10-19"}});
  CHECK(part.status == 206);
  CHECK(part.body == pattern(100'000).substr(10, 10));
  CHECK(scene.origin.calls() == 1);
  CHECK(logged(scene.node, "\"protocol\":\"HTTP/2.0\""));
  CHECK(scene.node.access_log().size() == 5);
}

TEST_CASE("Bodies larger than all windows go both ways, whole") {
  const bool is_streamed = GENERATE(false, true);  // else its length is known when it goes on
  H2Scene scene(echo(), is_streamed ? "uploads = \"stream\"" : "");
  const std::string body = pattern(900'000);
  for (const bool with_length : {true, false}) {
    const bool is_chunked = is_streamed && !with_length;
    H2Client client(scene.node.port());
    h2::Fields fields = h2::request("POST", "/", {{"te", "trailers"}});
    if (with_length) fields.emplace_back("content-length", std::to_string(body.size()));
    const std::uint32_t stream = client.request(fields, false);
    std::size_t window = 65'535;  // of the stream
    std::size_t whole = 65'535;   // of the connection
    for (std::size_t at = 0; at < body.size();) {
      const std::size_t size = std::min({body.size() - at, std::size_t{16'384}, window, whole});
      if (size > 0) {
        const bool last = at + size == body.size();
        client.send(h2::data(stream, std::string_view(body).substr(at, size), last ? h2::kEnd : h2::kNone));
        at += size;
        window -= size;
        whole -= size;
        continue;
      }
      REQUIRE(client.read_frame());
      const h2::Frame& frame = client.last_frame();
      if (frame.type == h2::kWindowUpdate) (frame.stream == 0 ? whole : window) += frame.read(0);
      if (frame.type == h2::kSettings && (frame.flags & h2::kAck) == 0) window += 256 * 1024 - 65'535;
    }
    const H2Answer& answer = client.answer(stream);
    CHECK(answer.status == 200);
    CHECK(answer.body == body);
    CHECK(answer.field("x-length") == (is_chunked ? "" : "900000"));
    CHECK(answer.field("x-coding") == (is_chunked ? "chunked" : ""));
  }
}

TEST_CASE("What a route says holds over HTTP/2: codings, rates, and that a tunnel is HTTP/1.1's") {
  const std::string page(5000, 'x');
  H2Scene scene(always("Content-Type: text/html\r\n", page),
                "websocket = true\nrate_limit = { requests = 3, per = \"1h\" }");
  H2Client client(scene.node.port());
  const H2Answer coded = client.fetch("/a", {{"accept-encoding", "gzip"}});
  CHECK(coded.status == 200);
  CHECK(coded.field("content-encoding") == "gzip");
  CHECK(coded.body.size() < page.size() / 10);
  CHECK(client.fetch("/b").body == page);
  CHECK(client.fetch("/c").status == 200);
  const H2Answer refused = client.fetch("/d");
  CHECK(refused.status == 429);
  CHECK(!refused.field("retry-after").empty());
  CHECK(scene.origin.calls() == 3);
}

TEST_CASE("A request that was malformed reaches no origin, and the log says why") {
  H2Scene scene(always("", "ok"));
  H2Client client(scene.node.port());
  CHECK(client.fetch("/", {{"connection", "close"}}).reset == kProtocolError);
  CHECK(client.fetch("/", {{"host", "other.local"}}).reset == kProtocolError);
  CHECK(client.fetch("/", {{"x", "a\rb"}}).reset == kProtocolError);
  CHECK(client.fetch("/", {{"content-length", "5"}}).reset == kProtocolError);
  CHECK(scene.origin.calls() == 0);
  CHECK(client.fetch("/").status == 200);
  CHECK(scene.node.metric("vignette_refusals_total", "malformed_request") >= 1);
  CHECK(scene.node.metric("vignette_refusals_total", "host_mismatch") == 1);
  CHECK(logged(scene.node, "\"host_mismatch\""));
}

TEST_CASE("What is refused by its head is answered as over HTTP/1.1") {
  H2Scene scene(always("", "ok"));
  H2Client client(scene.node.port());
  CHECK(client.fetch("/" + std::string(9000, 'a')).status == 414);
  CHECK(client.fetch("/", {{"big", std::string(16'000, 'x')}, {"other", std::string(100, 'x')}}).status ==
        200);
  CHECK(client.fetch("/", h2::Fields(101, {"a", "b"})).status == 431);
  CHECK(client.answer(client.request(h2::request("CONNECT", "/"))).reset == kProtocolError);
  CHECK(client.answer(client.request(h2::request("TRACE", "/"))).status == 405);
  CHECK(client.answer(client.request(h2::request("POST", "/", {{"expect", "x"}}))).status == 417);
}

TEST_CASE("Permission is asked for and given before the body") {
  H2Scene scene(echo());
  H2Client client(scene.node.port());
  const std::uint32_t stream =
      client.request(h2::request("POST", "/", {{"expect", "100-continue"}, {"content-length", "4"}}), false);
  while (client.peek(stream).interim == 0) REQUIRE(client.read_frame());
  client.send(h2::data(stream, "body", h2::kEnd));
  CHECK(client.answer(stream).status == 200);
  CHECK(client.answer(stream).body == "body");
}

TEST_CASE("A body that is too large is refused before it has come, and no more of it is wanted") {
  H2Scene scene(echo(), "max_body = \"1KiB\"");
  H2Client client(scene.node.port());
  const std::uint32_t stream = client.request(h2::request("POST", "/", {{"content-length", "5000"}}), false);
  const H2Answer& answer = client.answer(stream);
  CHECK(answer.status == 413);
  CHECK(answer.ended);
  while (!answer.reset) REQUIRE(client.read_frame());
  CHECK(answer.reset == kNoError);
  CHECK(client.fetch("/").status == 200);
}

TEST_CASE("A hundred hits that were asked for at once are all answered") {
  H2Scene scene(always("Cache-Control: max-age=60\r\n", pattern(20'000)));
  H2Client client(scene.node.port());
  REQUIRE(client.fetch("/a").status == 200);
  std::vector<std::uint32_t> streams;
  for (int i = 0; i < 100; ++i) streams.push_back(client.request(h2::get("/a")));
  for (const std::uint32_t stream : streams) CHECK(client.answer(stream).body.size() == 20'000);
  CHECK(scene.origin.calls() == 1);
  CHECK(scene.node.access_log().size() == 101);
}

TEST_CASE("Slow and quick requests of one connection do not wait for each other") {
  Gate gate;
  H2Scene scene([&](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.target == "/slow") gate.wait();
    return send(ScriptedOrigin::answer(200, "", call.target));
  });
  H2Client client(scene.node.port());
  const std::uint32_t slow = client.request(h2::get("/slow"));
  REQUIRE(scene.origin.wait_for_calls(1));
  CHECK(client.fetch("/quick").body == "/quick");
  gate.open();
  CHECK(client.answer(slow).body == "/slow");
}

TEST_CASE("A client that gives up a request, or all of them, costs nobody else anything") {
  Gate gate;
  H2Scene scene([&](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.target == "/slow") gate.wait();
    return send(ScriptedOrigin::answer(200, "", call.target));
  });
  H2Client client(scene.node.port());
  const std::uint32_t slow = client.request(h2::request("POST", "/slow"));
  REQUIRE(scene.origin.wait_for_calls(1));
  client.send(h2::reset(slow, 8));
  CHECK(client.fetch("/other").body == "/other");
  CHECK(logged(scene.node, "\"client_gone\""));
  client.request(h2::request("POST", "/slow"));
  REQUIRE(scene.origin.wait_for_calls(3));
  client.socket().reset();
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (scene.node.metric("vignette_connections_open") > 0) {
    REQUIRE(std::chrono::steady_clock::now() < limit);
  }
  CHECK(scene.node.access_log().size() == 3);
  gate.open();
}

TEST_CASE("A client that opens no window for its answer is given up, its connection is not") {
  H2Scene scene(always("Cache-Control: max-age=60\r\n", pattern(1000)), "",
                "[timeouts]\nsend_stall = \"50ms\"\n");
  H2Client client(scene.node.port(), H2Client::Windows::kept, {{4, 10}});
  for (int i = 0; i < 2; ++i) {  // from the origin, then from memory
    const H2Answer answer = client.fetch("/a");
    CHECK(answer.status == 200);
    CHECK(answer.body.size() == 10);
    CHECK(answer.reset);
  }
  CHECK(client.ping());
  CHECK(scene.node.metric("vignette_answers_stalled_total") == 2);
  CHECK(logged(scene.node, "\"send_timeout\""));
}

TEST_CASE("A head that does not come to its end ends the connection") {
  H2Scene scene(always("", "ok"), "", "[timeouts]\nheader = \"1s\"\n");
  H2Client client(scene.node.port());
  CHECK(client.ping());  // no frame of its own, such as the answer to SETTINGS, may come in between
  client.send(h2::headers(1, h2::get("/"), h2::kEnd));
  CHECK(client.read_to_end() == kCalm);
  CHECK(scene.node.metric("vignette_refusals_total", "header_timeout") == 1);
}

TEST_CASE("A connection without requests is ended in order") {
  H2Scene scene(always("", "ok"), "", "[timeouts]\nkeep_alive = \"50ms\"\n");
  H2Client client(scene.node.port());
  CHECK(client.fetch("/").status == 200);
  CHECK(client.read_to_end() == kNoError);
  CHECK(client.ended());
  H2Client silent(scene.node.port());
  CHECK(silent.ping());
}

TEST_CASE("A drain tells HTTP/2 clients in two steps and lets their requests end") {
  Gate gate;
  H2Scene scene([&](const OriginCall&, const ScriptedOrigin::Send& send) {
    gate.wait();
    return send(ScriptedOrigin::answer(200, "", "ok"));
  });
  H2Client busy(scene.node.port());
  const std::uint32_t stream = busy.request(h2::get("/"));
  REQUIRE(scene.origin.wait_for_calls(1));
  H2Client idle(scene.node.port());
  REQUIRE(idle.ping());
  scene.node.drain();
  CHECK(idle.read_to_end() == kNoError);
  CHECK(idle.goaways() == 2);
  while (busy.goaways() < 2) REQUIRE(busy.read_frame());
  CHECK(busy.last_stream() == stream);
  gate.open();
  CHECK(busy.answer(stream).body == "ok");
  busy.read_to_end();
  CHECK(busy.ended());
}

TEST_CASE("A flood ends its connection, and is counted and logged by its name") {
  H2Scene scene(always("", "ok"));
  H2Client client(scene.node.port());
  std::string flood;
  for (std::uint32_t i = 0; i < 200; ++i)
    flood += h2::headers(1 + 2 * i, h2::get("/")) + h2::reset(1 + 2 * i, 8);
  client.send(flood);
  CHECK(client.read_to_end() == kCalm);
  wait_until_counted(scene.node, "vignette_refusals_total", "h2_resets");
  CHECK(scene.node.log_text().find("h2_resets") != std::string::npos);
}

TEST_CASE("Beside HTTP/2, a plain listener speaks HTTP/1.1, and without it only that") {
  H2Scene scene(always("", "ok"));
  RawClient client(scene.node.port());
  client.send("P");
  client.send("UT / HTTP/1.1\r\nHost: test.local\r\nContent-Length: 1\r\n\r\nx");
  CHECK(client.read().body == "ok");
  CHECK(client.fetch("/").body == "ok");
  CHECK(logged(scene.node, "\"protocol\":\"HTTP/1.1\""));
  Scene plain(always("", "ok"));
  RawClient wrong(plain.node.port());
  wrong.send(h2::greeting());
  CHECK(wrong.read().status == 505);
}
