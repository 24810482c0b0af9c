// Answers of origins that must not get through: the client gets 502, and that connection is never used again.
#include <catch2/catch.hpp>

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "tests/component/scene.h"

using namespace vignette::test;
using namespace std::string_literals;

namespace {

// A node whose origin answers the target "/bad" with raw bytes and everything else rightly.
class BadOrigin {
 public:
  explicit BadOrigin(std::string route = "") : scene(script(), route) {}

  // What "/bad" is answered with from now on.
  void says(std::string bytes) {
    std::lock_guard lock(mutex_);
    bytes_ = std::move(bytes);
  }
  // Which connection was answered so last.
  int last_bad() const { return last_bad_; }

 private:
  ScriptedOrigin::Script script() {
    return [this](const OriginCall& call, const ScriptedOrigin::Send& send) {
      if (call.target != "/bad") return send(ScriptedOrigin::answer(200, "", "ok"));
      last_bad_ = call.connection;
      std::string bytes;
      {
        std::lock_guard lock(mutex_);
        bytes = bytes_;
      }
      return send(bytes);
    };
  }

  std::mutex mutex_;
  std::string bytes_;
  std::atomic<int> last_bad_{0};

 public:
  Scene scene;
};

}  // namespace

TEST_CASE("An answer that cannot be trusted is a 502, and its connection is not used again") {
  const std::string framed = "Content-Length: 2\r\n\r\nok";
  const std::vector<std::pair<int, std::string>> table{
      {2, "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
      {2, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
      {3, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {5, "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok"},
      {5, "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok"},
      {6, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"},
      {8, "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"},
      {8, "HTTP/1.1 200 OK\r\nX: y\n" + framed},
      {9, "HTTP/1.1 200 OK\r\nX: y\rz\r\n" + framed},
      {10,
       "HTTP/1.1 200 OK\r\nX: a\x01"
       "b\r\n" +
           framed},
      {10, "HTTP/1.1 200 OK\r\nX: a\0b\r\n"s + framed},
      {11, "HTTP/1.1 200 OK\r\nX : y\r\n" + framed},
      {12, "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n" + framed},
      {13, "HTTP/1.1 200 OK\r\n: b\r\n" + framed},
      {13, "HTTP/1.1 200 OK\r\nnocolon\r\n" + framed},
      {15, "HTTP/1.1 20 OK\r\n" + framed},
      {15, "HTTP/1.1  200 OK\r\n" + framed},
      {15, "http/1.1 200 OK\r\n" + framed},
      {15, "nonsense\r\n\r\n"},
      {26, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
      {32, "HTTP/1.1 200 OK\r\nX: " + std::string(70 * 1024, 'x') + "\r\n" + framed}};
  BadOrigin bad;
  for (const auto& [row, bytes] : table) {
    INFO("row " << row << ": " << printable(bytes));
    bad.says(bytes);
    RawClient client = bad.scene.client();
    RawResponse answer = client.fetch("/bad");
    CHECK(answer.status == 502);
    CHECK(answer.complete);
    CHECK(answer.head.find("nonsense") == std::string::npos);
    // The client's connection is as good as before.
    CHECK(client.fetch("/good").body == "ok");
    CHECK(bad.scene.origin.log().back().connection != bad.last_bad());
  }
}

TEST_CASE(
    "An origin's answer with length and chunks is read as chunks, and its connection is not reused (row 1)") {
  BadOrigin bad;
  bad.says(
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
  RawClient client = bad.scene.client();
  RawResponse answer = client.fetch("/bad");
  CHECK(answer.status == 200);
  CHECK(answer.body == "hello");
  CHECK(answer.field("content-length") != "2");
  CHECK(client.fetch("/good").body == "ok");
  CHECK(bad.scene.origin.log().back().connection != bad.last_bad());
}

TEST_CASE("An origin's broken chunks end the answer without a clean end") {
  for (const char* route : {"", "cache = \"on\"", "cache = \"off\""}) {
    for (const std::string& tail : {"5\r\nhelloX"s, "0x5\r\nhello\r\n"s, "5\nhello"s, "g\r\n"s}) {
      INFO(route << " " << printable(tail));
      BadOrigin bad(route);
      bad.says(
          "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" +
          tail);
      RawClient client = bad.scene.client();
      RawResponse answer = client.fetch("/bad");
      CHECK_FALSE((answer.status == 200 && answer.complete));
      CHECK(bad.scene.client().fetch("/good").body == "ok");
      CHECK(bad.scene.origin.log().back().connection != bad.last_bad());
    }
  }
}

TEST_CASE("An origin that closes before its length is served without a clean end, and nothing is stored") {
  // Short answers are asked for again before anything goes on, so all attempts are cut.
  std::atomic<bool> healed{false};
  Scene scene(
      [&healed](const OriginCall&, const ScriptedOrigin::Send& send) {
        if (healed) return send(ScriptedOrigin::answer(200, "Cache-Control: max-age=60\r\n", "whole"));
        send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nwh");
        return false;
      },
      "cache = \"on\"");
  RawResponse answer = scene.client().fetch("/a");
  CHECK_FALSE((answer.status == 200 && answer.complete));
  healed = true;
  RawResponse second = scene.client().fetch("/a");
  CHECK(second.body == "whole");
  CHECK(second.complete);
  CHECK(scene.node.metric("vignette_fills_failed_total") == 1);
}

TEST_CASE("Interim answers are not passed on, and more than eight are a 502 (row 31)") {
  BadOrigin bad;
  std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  std::string eight;
  for (int i = 0; i < 8; ++i) eight += interim;
  bad.says(eight + ScriptedOrigin::answer(200, "", "ok"));
  RawClient client = bad.scene.client();
  RawResponse answer = client.fetch("/bad");
  CHECK(answer.status == 200);
  CHECK(answer.body == "ok");
  CHECK(client.interim() == 0);
  bad.says(interim + eight + ScriptedOrigin::answer(200, "", "ok"));
  CHECK(client.fetch("/bad").status == 502);
}

TEST_CASE("A body on 204, 304 or an answer to HEAD is not read as the next answer (row 31)") {
  for (const char* method : {"GET", "HEAD"}) {
    for (const char* status : {"204 No Content", "304 Not Modified", "200 OK"}) {
      if (method == "GET"s && status == "200 OK"s) continue;
      INFO(method << " " << status);
      BadOrigin bad("cache = \"off\"");
      bad.says("HTTP/1.1 "s + status + "\r\nContent-Length: 23\r\n\r\nHTTP/1.1 666 Injected\r\n\r\n");
      RawClient client = bad.scene.client();
      client.send(std::string(method) + " /bad HTTP/1.1\r\nHost: test.local\r\n\r\n");
      RawResponse answer = client.read(true);
      CHECK(std::to_string(answer.status) == std::string(status).substr(0, 3));
      RawResponse next = client.fetch("/good");
      CHECK(next.status == 200);
      CHECK(next.body == "ok");
      CHECK(bad.scene.origin.log().back().connection != bad.last_bad());
    }
  }
}

TEST_CASE("Bytes on an idle connection of an origin make it useless (row 31)") {
  BadOrigin bad;
  bad.says(ScriptedOrigin::answer(200, "", "ok") + "HTTP/1.1 666 Injected\r\nContent-Length: 0\r\n\r\n");
  RawClient client = bad.scene.client();
  CHECK(client.fetch("/bad").body == "ok");
  RawResponse next = client.fetch("/good");
  CHECK(next.status == 200);
  CHECK(bad.scene.origin.log().back().connection != bad.last_bad());
}

TEST_CASE("Bodies that end with the connection reach the client whole") {
  Scene scene([](const OriginCall&, const ScriptedOrigin::Send& send) {
    send("HTTP/1.0 200 OK\r\n\r\nuntil the end");
    return false;
  });
  RawClient client = scene.client();
  for (int i = 0; i < 2; ++i) {
    RawResponse answer = client.fetch("/a");
    CHECK(answer.status == 200);
    CHECK(answer.body == "until the end");
    CHECK(answer.complete);
  }
}

TEST_CASE("Fields of the origin's connection are not the client's") {
  Scene scene(always(
      "Connection: X-Hop, Set-Cookie\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a=1\r\nX-App: 2\r\n",
      "ok"));
  RawResponse answer = scene.client().fetch("/");
  CHECK(answer.field("x-hop").empty());
  CHECK(answer.field("keep-alive").empty());
  CHECK(answer.field("connection").empty());
  CHECK(answer.field("set-cookie") == "a=1");
  CHECK(answer.field("x-app") == "2");
}

TEST_CASE("An origin that refuses connections is a 5xx that names no address") {
  std::string config;
  {
    ScriptedOrigin gone(always("", ""));
    config = proxy_config(gone);
  }
  TestNode node(config);
  RawClient client(node.port());
  RawResponse answer = client.fetch("/");
  CHECK((answer.status == 502 || answer.status == 503));
  CHECK(answer.field("content-type") == "text/html; charset=utf-8");
  CHECK(answer.body.find("127.0.0.1") == std::string::npos);
  CHECK(client.fetch("/again").status >= 502);
}

TEST_CASE("An origin that does not answer in time is a 504") {
  Gate gate;
  ScriptedOrigin origin([&](const OriginCall&, const ScriptedOrigin::Send&) {
    gate.wait();
    return false;
  });
  TestNode node(
      "[[listener]]\naddress = \"127.0.0.1:0\"\n[origin.app]\nservers = [\"" + origin.address() +
      "\"]\ntimeouts = { first_byte = \"80ms\" }\n[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/*\"\n"
      "origin = \"app\"\ncache = \"off\"\n");
  RawClient client(node.port());
  client.send("POST / HTTP/1.1\r\nHost: test.local\r\nContent-Length: 0\r\n\r\n");
  CHECK(client.read().status == 504);
  gate.open();
}
