// Request bodies on their way to servers: waiting in memory and on disk until they are whole, sent again, and
// given up without a trace.
#include <catch2/catch.hpp>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/client/spool.h"
#include "tests/component/scene.h"

using namespace vignette;
using namespace vignette::test;
using namespace std::string_literals;

namespace {

constexpr std::size_t kLarge = 900'000;  // goes to disk
constexpr std::size_t kSmall = 100'000;  // does not

std::string put(std::size_t size, std::string_view method = "PUT") {
  return std::string(method) + " /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: " + std::to_string(size) +
         "\r\n\r\n";
}

constexpr std::string_view kChunkedHead =
    "POST /a HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string chunk(std::string_view bytes) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + std::string(bytes) + "\r\n";
}

bool is_empty(proxy::Spool& spool) {
  return spool.open_files() == 0 && spool.disk().used() == 0 && spool.memory().used() == 0;
}

}  // namespace

TEST_CASE("A slow upload keeps no server busy until it is whole, and then comes with a length") {
  Scene scene(always("", "ok"));
  const std::string body = pattern(kLarge);
  RawClient client = scene.client();
  client.send(kChunkedHead);
  client.send(chunk(std::string_view(body).substr(0, 600'000)));
  proxy::Spool& spool = scene.node.spool();
  REQUIRE(becomes([&] { return spool.disk().used() >= 512 * 1024; }));
  CHECK(spool.open_files() == 1);
  CHECK(spool.memory().used() <= proxy::SpooledBody::kBufferBytes);
  CHECK(scene.origin.connections() == 0);
  client.send(chunk(std::string_view(body).substr(600'000)) + "0\r\nX-Trailer: 1\r\n\r\n");
  CHECK(client.read().status == 200);
  const OriginCall call = scene.origin.log().back();
  CHECK(call.body == body);
  CHECK(call.field("content-length") == std::to_string(kLarge));
  CHECK(call.field("transfer-encoding").empty());
  CHECK(call.field("x-trailer").empty());
  CHECK(client.fetch("/next").status == 200);  // the connection goes on
  CHECK(becomes([&] { return is_empty(spool); }));
  CHECK(scene.node.metric("vignette_bodies_spooled_total") == 1);
}

TEST_CASE("Bodies of every size around the buffer's arrive as they were sent") {
  Scene scene(always("", "ok"));
  RawClient client = scene.client();
  constexpr std::size_t kBuffer = proxy::SpooledBody::kBufferBytes;
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{16} * 1024, std::size_t{16} * 1024 + 1, kBuffer - 1, kBuffer, kBuffer + 1,
        2 * kBuffer, 2 * kBuffer + 1, std::size_t{3'000'000}}) {
    INFO(size);
    const std::string body = pattern(size);
    client.send(put(size) + body);
    CHECK(client.read().status == 200);
    CHECK(scene.origin.log().back().body == body);
    client.send(std::string(kChunkedHead) + chunk(body) + "0\r\n\r\n");
    CHECK(client.read().status == 200);
    CHECK(scene.origin.log().back().body == body);
  }
  client.send(std::string(kChunkedHead) + "0\r\n\r\n");
  CHECK(client.read().status == 200);
  CHECK(scene.origin.log().back().field("content-length") == "0");
}

TEST_CASE("A client that vanishes in an upload leaves neither a file nor memory behind") {
  Scene scene(always("", "ok"), "max_body = \"64MiB\"");
  proxy::Spool& spool = scene.node.spool();
  for (const std::size_t sent : {kSmall, kLarge, std::size_t{20'000'000}}) {
    for (const bool resets : {true, false}) {
      INFO(sent << (resets ? " reset" : " closed"));
      RawClient client = scene.client();
      client.send(put(40'000'000));
      client.send(pattern(sent));
      const auto is_here = [&] { return spool.disk().used() + spool.memory().used() >= sent / 2; };
      REQUIRE(becomes(is_here));
      if (resets) {
        client.reset();
      } else {
        client.close();
      }
      CHECK(becomes([&] { return is_empty(spool); }));
    }
  }
  CHECK(scene.origin.connections() == 0);
  CHECK(scene.client().fetch("/").status == 200);
}

TEST_CASE("A server that fails before it answers costs an idempotent upload nothing, wherever it waits") {
  for (const std::size_t size : {kSmall, kLarge}) {
    INFO(size);
    std::atomic<int> calls{0};
    const auto script = [&](const OriginCall&, const ScriptedOrigin::Send& send) {
      if (++calls == 1) return false;
      return send(ScriptedOrigin::answer(200, "", "ok"));
    };
    ScriptedOrigin one(script);
    ScriptedOrigin two(script);
    TestNode node("[[listener]]\naddress = \"127.0.0.1:0\"\n[origin.app]\nservers = [\"" + one.address() +
                  "\", \"" + two.address() +
                  "\"]\n[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/*\"\norigin = \"app\"\n");
    const std::string body = pattern(size);
    RawClient client(node.port());
    client.send(put(size) + body);
    CHECK(client.read().status == 200);
    CHECK(one.calls() == 1);
    CHECK(two.calls() == 1);
    CHECK(one.log().back().body == body);
    CHECK(two.log().back().body == body);
    // A POST may have run.
    calls = 0;
    client.send(put(size, "POST") + body);
    CHECK(client.read().status == 502);
    CHECK(calls == 1);
  }
}

TEST_CASE("An upload goes to the standby when no server of the first origin can be reached") {
  ScriptedOrigin standby(always("", "ok"));
  std::string gone;
  {
    const ScriptedOrigin closed(always("", "ok"));
    gone = closed.address();
  }
  TestNode node(
      "[[listener]]\naddress = \"127.0.0.1:0\"\n[origin.app]\nservers = [\"" + gone +
      "\"]\n[origin.standby]\nservers = [\"" + standby.address() +
      "\"]\n[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/*\"\norigin = [\"app\", \"standby\"]\n");
  const std::string body = pattern(kLarge);
  RawClient client(node.port());
  client.send(put(kLarge) + body);
  CHECK(client.read().status == 200);
  CHECK(standby.log().back().body == body);
}

TEST_CASE("A route that streams, and a call of gRPC, send each piece on as it comes") {
  for (const bool is_grpc : {false, true}) {
    Scene scene(always("", "ok"), is_grpc ? "" : "uploads = \"stream\"");
    RawClient client = scene.client();
    client.send("POST /a HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n"s +
                (is_grpc ? "Content-Type: application/grpc+proto\r\n" : "") + "\r\n" + chunk("first"));
    CHECK(becomes([&] { return scene.origin.connections() == 1; }));
    client.send(chunk("second") + "0\r\n\r\n");
    CHECK(client.read().status == 200);
    CHECK(scene.origin.log().back().body == "firstsecond");
    CHECK(scene.origin.log().back().field("transfer-encoding") == "chunked");
    CHECK(is_empty(scene.node.spool()));
  }
}

TEST_CASE("What finds no room on disk is streamed from there on, whole") {
  const TempDir folder;
  folder.write("spool/x", "");
  const std::string place = folder.path() + "/spool";
  for (const char* size : {"0B", "300KiB", "1GiB"}) {
    INFO(size);
    Scene scene(always("", "ok"), "", "[spool]\npath = \"" + place + "\"\nsize = \"" + size + "\"\n");
    // With room enough, the folder is what is missing.
    if (size == "1GiB"s) std::filesystem::remove_all(place);
    RawClient client = scene.client();
    for (const bool is_chunked : {false, true}) {
      const std::string body = pattern(kLarge);
      client.send(is_chunked ? std::string(kChunkedHead) + chunk(body) + "0\r\n\r\n" : put(kLarge) + body);
      CHECK(client.read().status == 200);
      CHECK(scene.origin.log().back().body == body);
      CHECK(scene.origin.log().back().field("transfer-encoding") == (is_chunked ? "chunked" : ""));
    }
    CHECK(scene.node.metric("vignette_bodies_not_spooled_total") == 2);
    CHECK(becomes([&] { return is_empty(scene.node.spool()); }));
  }
}

TEST_CASE("Many uploads at once share the memory there is, and what is over goes to disk") {
  Scene scene(always("", "ok"), "", "[spool]\nmemory = \"1MiB\"\n");
  proxy::Spool& spool = scene.node.spool();
  const std::string body = pattern(250'000);
  std::vector<RawClient> clients;
  for (int i = 0; i < 12; ++i) {
    clients.push_back(scene.client());
    clients.back().send(put(body.size()));
    clients.back().send(std::string_view(body).substr(0, 200'000));
  }
  REQUIRE(becomes([&] { return spool.disk().used() + spool.memory().used() > 1'500'000; }));
  CHECK(spool.memory().used() <= 1 << 20);
  CHECK(scene.origin.connections() == 0);
  for (RawClient& client : clients) client.send(std::string_view(body).substr(200'000));
  for (RawClient& client : clients) CHECK(client.read().status == 200);
  for (const OriginCall& call : scene.origin.log()) CHECK(call.body == body);
  CHECK(becomes([&] { return is_empty(spool); }));
}

TEST_CASE(
    "A body over its route's limit is refused before a server is asked, by its length or when it is passed") {
  Scene scene(always("", "ok"), "max_body = \"400KiB\"");
  constexpr std::size_t kLimit = 400 * 1024;
  RawClient early = scene.client();
  early.send(put(kLimit + 1));
  CHECK(early.read().status == 413);
  RawClient late = scene.client();
  late.send(std::string(kChunkedHead) + chunk(pattern(kLimit)));
  late.send(chunk("x"));
  CHECK(late.read().status == 413);
  CHECK(scene.origin.connections() == 0);
  RawClient exact = scene.client();
  exact.send(std::string(kChunkedHead) + chunk(pattern(kLimit)) + "0\r\n\r\n");
  CHECK(exact.read().status == 200);
  CHECK(becomes([&] { return is_empty(scene.node.spool()); }));
}

TEST_CASE("Bytes are lent up to the limit and not one more") {
  proxy::ByteQuota quota(100);
  CHECK(quota.take(60));
  CHECK_FALSE(quota.take(41));
  CHECK(quota.take(40));
  CHECK_FALSE(quota.take(1));
  quota.give(100);
  CHECK(quota.used() == 0);
  CHECK_FALSE(quota.take(~std::uint64_t{0}));
}
