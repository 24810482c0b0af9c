// Requests that are unusual but right: what the origin gets of them.
#include <catch2/catch.hpp>

#include <string>

#include "tests/component/scene.h"

using namespace vignette::test;
using namespace std::string_literals;

namespace {

// Sends the bytes on a new connection and returns what the origin got for it.
OriginCall forwarded(Scene& scene, std::string_view bytes) {
  INFO(printable(bytes));
  RawClient client = scene.client();
  client.send(bytes);
  RawResponse answer = client.read();
  REQUIRE(answer.status == 200);
  return scene.origin.log().back();
}

std::string post(std::string_view fields, std::string_view body) {
  return "POST /up HTTP/1.1\r\nHost: test.local\r\n" + std::string(fields) + "\r\n\r\n" + std::string(body);
}

}  // namespace

TEST_CASE("Leading zeros of a length are accepted and not repeated (row 7)") {
  Scene scene(always("", "ok"));
  OriginCall call = forwarded(scene, post("Content-Length: 0000000000000000005", "hello"));
  CHECK(call.field("content-length") == "5");
  CHECK(call.body == "hello");
}

TEST_CASE("Bytes over 127 in a value pass, as they are (row 10)") {
  Scene scene(always("", "ok"));
  CHECK(forwarded(scene, post("X-Name: caf\xC3\xA9 \xFF\r\nContent-Length: 0", "")).field("x-name") ==
        "caf\xC3\xA9 \xFF");
}

TEST_CASE("Two empty lines before a request line are skipped (row 14)") {
  Scene scene(always("", "ok"));
  CHECK(forwarded(scene, "\r\n\r\nGET /a HTTP/1.1\r\nHost: test.local\r\n\r\n").target == "/a");
}

TEST_CASE("An absolute target that agrees with Host becomes a path and a Host (row 17)") {
  Scene scene(always("", "ok"));
  OriginCall call = forwarded(scene, "GET http://Test.Local/a?b=c HTTP/1.1\r\nHost: test.local\r\n\r\n");
  CHECK(call.target == "/a?b=c");
  CHECK(call.field("host") == "test.local");
}

TEST_CASE(
    "OPTIONS that is about the node is answered by it, and any other goes on with one hop less (row 18)") {
  Scene scene(always("", "ok"));
  for (const char* about_the_node :
       {"OPTIONS * HTTP/1.1\r\nHost: test.local\r\n\r\n", "OPTIONS * HTTP/1.0\r\n\r\n",
        "OPTIONS http://test.local HTTP/1.1\r\nHost: test.local\r\n\r\n",
        "OPTIONS /a HTTP/1.1\r\nHost: test.local\r\nMax-Forwards: 0\r\n\r\n"}) {
    INFO(about_the_node);
    RawClient client = scene.client();
    client.send(about_the_node);
    RawResponse answer = client.read();
    CHECK(answer.status == 200);
    CHECK(answer.field("content-length") == "0");
    CHECK(answer.field("allow").find("OPTIONS") != std::string::npos);
  }
  CHECK(scene.origin.calls() == 0);
  OriginCall call = forwarded(scene, "OPTIONS /a HTTP/1.1\r\nHost: test.local\r\nMax-Forwards: 10\r\n\r\n");
  CHECK(call.field("max-forwards") == "9");
  CHECK(forwarded(scene, "GET /a HTTP/1.1\r\nHost: test.local\r\nMax-Forwards: 0\r\n\r\n").target == "/a");
}

TEST_CASE("Chunk extensions and trailers are read and left behind (rows 20 and 22)") {
  Scene scene(always("", "ok"));
  OriginCall call =
      forwarded(scene, post("Transfer-Encoding: chunked\r\nTrailer: X-Sum",
                            "5;a=b;c=\"d\"\r\nhello\r\n1;x\r\n!\r\n0;last\r\nX-Sum: 7\r\n\r\n"));
  CHECK(call.body == "hello!");
  CHECK(call.field("x-sum").empty());
  CHECK(call.field("trailer").empty());
  CHECK(call.field("content-length") == "6");
  CHECK(call.field("transfer-encoding").empty());
  CHECK(call.head.find("a=b") == std::string::npos);
}

TEST_CASE("Methods that rarely have a body keep theirs, and the next request is not part of it (row 23)") {
  Scene scene(always("Cache-Control: max-age=60\r\n", "ok"), "cache = \"on\"");
  for (const char* method : {"GET", "DELETE", "OPTIONS"}) {
    INFO(method);
    RawClient client = scene.client();
    client.send(std::string(method) + " /b HTTP/1.1\r\nHost: test.local\r\nContent-Length: 5\r\n\r\nhello" +
                "GET /next HTTP/1.1\r\nHost: test.local\r\nCache-Control: no-store\r\n\r\n");
    RawResponse answer = client.read();
    CHECK(answer.status == 200);
    OriginCall call = scene.origin.log().back();
    CHECK(answer.field("cache-status").find("hit") == std::string::npos);
    CHECK(client.read().status == 200);
  }
  bool seen_get_body = false;
  for (const OriginCall& call : scene.origin.log()) {
    if (call.method == "GET" && call.target == "/b") seen_get_body = call.body == "hello";
    if (call.target == "/next") CHECK(call.body.empty());
  }
  CHECK(seen_get_body);
  // A GET with a body neither comes from the cache nor goes into it.
  int calls = scene.origin.calls();
  RawClient client = scene.client();
  client.send("GET /b HTTP/1.1\r\nHost: test.local\r\nContent-Length: 5\r\n\r\nhello");
  CHECK(client.read().status == 200);
  CHECK(scene.origin.calls() == calls + 1);
}

TEST_CASE("An upgrade is not forwarded where the route does not allow it (row 26)") {
  Scene scene(always("", "ok"));
  OriginCall call =
      forwarded(scene,
                "GET /ws HTTP/1.1\r\nHost: test.local\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n");
  CHECK(call.field("upgrade").empty());
  CHECK(call.field("http2-settings").empty());
  CHECK(call.field("connection").find("pgrade") == std::string::npos);
}

TEST_CASE("Fields that Connection names stay on the client's connection (row 27)") {
  Scene scene(always("", "ok"));
  OriginCall call =
      forwarded(scene,
                "GET / HTTP/1.1\r\nHost: test.local\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\n"
                "Keep-Alive: timeout=9\r\nX-Stays: 2\r\n\r\n");
  CHECK(call.field("x-hop").empty());
  CHECK(call.field("keep-alive").empty());
  CHECK(call.field("x-stays") == "2");
}

TEST_CASE("A field with an underscore in its name is dropped (row 28)") {
  Scene scene(always("", "ok"));
  OriginCall call =
      forwarded(scene, "GET / HTTP/1.1\r\nHost: test.local\r\nX_Forwarded_For: 6.6.6.6\r\nX-Ok: 1\r\n\r\n");
  CHECK(call.head.find("X_Forwarded_For") == std::string::npos);
  CHECK(call.head.find("x_forwarded_for") == std::string::npos);
  CHECK(call.head.find("6.6.6.6") == std::string::npos);
  CHECK(call.field("x-ok") == "1");
}

TEST_CASE("A path is forwarded in its normal form, and one that climbs over the root is refused") {
  Scene scene(always("", "ok"));
  CHECK(forwarded(scene, "GET /a/./b/../c%7e%2fd?q=%2e HTTP/1.1\r\nHost: test.local\r\n\r\n").target ==
        "/a/c~%2Fd?q=%2e");
  int calls = scene.origin.calls();
  CHECK(scene.client().fetch("/a/../../etc").status == 400);
  CHECK(scene.client().fetch("/a%00b").status == 400);
  CHECK(scene.origin.calls() == calls);
}

TEST_CASE("A request that has been here before is answered 508 (row 29)") {
  Scene scene(always("", "ok"));
  RawClient client = scene.client();
  CHECK(client.fetch("/", "CDN-Loop: other, vignette\r\n").status == 508);
  CHECK(client.fetch("/", "CDN-Loop: other\r\n").status == 200);
  CHECK(scene.origin.calls() == 1);
}
