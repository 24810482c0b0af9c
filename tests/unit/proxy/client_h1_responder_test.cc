#include <catch2/catch.hpp>

#include <string>

#include "proxy/client/h1_responder.h"
#include "tests/unit/proxy/client_streams.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;

namespace {

constexpr std::string_view kDate = "Sun, 06 Nov 1994 08:49:37 GMT";

// One answer; sent() is what the client gets of it.
struct Answering {
  explicit Answering(H1Responder::Options options = {}) : responder(client.stream, out, kDate, options) {}

  static net::Task<void> flush(H1Responder& responder, Result<void>& outcome) {
    auto sent = co_await responder.flush();
    outcome = sent;
  }
  std::string sent() {
    Result<void> outcome;
    REQUIRE(client.run(flush, std::ref(responder), std::ref(outcome)));
    REQUIRE(outcome);
    return client.client_got();
  }

  ClientStream client;
  OutQueue out;
  H1Responder responder;
};

ResponseParts parts(int status, std::optional<std::uint64_t> length) {
  ResponseParts result;
  result.status = status;
  result.content_length = length;
  return result;
}

constexpr std::string_view kDateLine = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

}  // namespace

TEST_CASE("A known length is framed by Content-Length") {
  Answering a;
  a.responder.begin(parts(200, 5));
  a.responder.append(Slice::copy("he"));
  a.responder.append(Slice::copy("llo"));
  a.responder.end();
  CHECK(a.responder.ended());
  CHECK(a.responder.keep_alive());
  CHECK(a.sent() == "HTTP/1.1 200 OK\r\n" + std::string(kDateLine) + "Content-Length: 5\r\n\r\nhello");
}

TEST_CASE("A 101 has no length, says what it switches to and is the last answer") {
  Answering a;
  a.responder.begin(parts(101, 0));
  a.responder.end();
  CHECK(a.responder.ended());
  CHECK_FALSE(a.responder.keep_alive());
  CHECK(a.sent() == "HTTP/1.1 101 Switching Protocols\r\n" + std::string(kDateLine) +
                        "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
}

TEST_CASE("An unknown length is chunked for HTTP/1.1") {
  Answering a;
  a.responder.begin(parts(200, std::nullopt));
  a.responder.append(Slice::copy("hello"));
  a.responder.append(Slice());
  a.responder.append(Slice::copy(std::string(16, 'x')));
  a.responder.end();
  CHECK(a.sent() ==
        "HTTP/1.1 200 OK\r\n" + std::string(kDateLine) +
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n10\r\nxxxxxxxxxxxxxxxx\r\n0\r\n\r\n");
}

TEST_CASE("An unknown length ends with the connection for HTTP/1.0") {
  Answering a({.version = http::Version::http_1_0, .head_only = false, .keep_alive = true});
  a.responder.begin(parts(200, std::nullopt));
  a.responder.append(Slice::copy("hello"));
  a.responder.end();
  CHECK_FALSE(a.responder.keep_alive());
  CHECK(a.sent() == "HTTP/1.1 200 OK\r\n" + std::string(kDateLine) + "Connection: close\r\n\r\nhello");
}

TEST_CASE("An HTTP/1.0 client that may stay is told so") {
  Answering a({.version = http::Version::http_1_0, .head_only = false, .keep_alive = true});
  a.responder.begin(parts(200, 0));
  a.responder.end();
  CHECK(a.responder.keep_alive());
  CHECK(a.sent() == "HTTP/1.1 200 OK\r\n" + std::string(kDateLine) +
                        "Content-Length: 0\r\nConnection: keep-alive\r\n\r\n");
}

TEST_CASE("An answer to HEAD has the length and no body") {
  Answering a({.version = http::Version::http_1_1, .head_only = true, .keep_alive = true});
  CHECK_FALSE(a.responder.wants_body());
  a.responder.begin(parts(200, 5));
  a.responder.append(Slice::copy("hello"));
  a.responder.end();
  CHECK(a.responder.keep_alive());
  CHECK(a.sent() == "HTTP/1.1 200 OK\r\n" + std::string(kDateLine) + "Content-Length: 5\r\n\r\n");
}

TEST_CASE("204 and 304 have neither body nor length") {
  for (int status : {204, 304}) {
    Answering a;
    a.responder.begin(parts(status, 5));
    CHECK_FALSE(a.responder.wants_body());
    a.responder.append(Slice::copy("hello"));
    a.responder.end();
    std::string text = a.sent();
    CHECK(text.find("ontent-Length") == std::string::npos);
    CHECK(text.ends_with("GMT\r\n\r\n"));
  }
}

TEST_CASE("Framing and connection fields of an origin's answer are not ours to repeat") {
  Answering a;
  http::FieldList fields;
  fields.add("content-type", "text/plain");
  fields.add("content-length", "999");
  fields.add("transfer-encoding", "gzip, chunked");
  fields.add("connection", "upgrade");
  fields.add("date", "never");
  fields.add("x-app", "1");
  ResponseParts p = parts(200, 2);
  p.fields = &fields;
  p.extra = "Age: 7\r\n";
  a.responder.begin(p);
  a.responder.append(Slice::copy("ok"));
  a.responder.end();
  CHECK(a.sent() == "HTTP/1.1 200 OK\r\n" + std::string(kDateLine) +
                        "Age: 7\r\ncontent-type: text/plain\r\nx-app: 1\r\nContent-Length: 2\r\n\r\nok");
}

TEST_CASE("Stored lines bring their own date and blank line") {
  Answering a;
  ResponseParts p = parts(200, 2);
  p.wire = Slice::copy("date: Sat, 05 Nov 1994 08:49:37 GMT\r\ncontent-type: text/plain\r\n\r\n");
  a.responder.begin(p);
  a.responder.append(Slice::copy("ok"));
  a.responder.end();
  CHECK(a.sent() ==
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
        "date: Sat, 05 Nov 1994 08:49:37 GMT\r\ncontent-type: text/plain\r\n\r\nok");
}

TEST_CASE("A body shorter than promised never gets a clean end") {
  Answering a;
  a.responder.begin(parts(200, 5));
  a.responder.append(Slice::copy("he"));
  a.responder.end();
  CHECK(a.responder.aborted());
  CHECK_FALSE(a.responder.ended());
  CHECK_FALSE(a.responder.keep_alive());
}

TEST_CASE("An aborted chunked answer has no last chunk") {
  Answering a;
  a.responder.begin(parts(200, std::nullopt));
  a.responder.append(Slice::copy("he"));
  a.responder.abort();
  CHECK(a.responder.aborted());
  CHECK(a.sent().ends_with("2\r\nhe\r\n"));
}

namespace {

// A request body of which nothing or everything has been taken.
class StandingBody final : public RequestBody {
 public:
  explicit StandingBody(bool complete) : complete_(complete) {}
  net::Task<Result<Piece>> next(TimePoint) override { co_return Piece{.bytes = {}, .last = true}; }
  void set_max_bytes(std::uint64_t) override {}
  bool complete() const override { return complete_; }
  std::uint64_t bytes() const override { return 0; }

 private:
  bool complete_;
};

}  // namespace

TEST_CASE("100 Continue goes before the answer and is not the answer") {
  Answering a;
  a.responder.interim_continue();
  CHECK_FALSE(a.responder.begun());
  a.responder.begin(parts(201, 0));
  a.responder.end();
  CHECK(a.responder.begun());
  CHECK(a.sent().starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n"));
}

TEST_CASE("An answer that begins before the request body was taken is the connection's last") {
  for (bool complete : {false, true}) {
    Answering a;
    StandingBody body(complete);
    a.responder.watch_body(body);
    a.responder.begin(parts(200, 0));
    a.responder.end();
    CHECK(a.responder.keep_alive() == complete);
    CHECK((a.sent().find("Connection: close\r\n") == std::string::npos) == complete);
  }
}

TEST_CASE("The bytes of an answer are counted with head and framing") {
  Answering a;
  a.responder.begin(parts(200, std::nullopt));
  a.responder.append(Slice::copy("hello"));
  a.responder.end();
  std::uint64_t counted = a.responder.answered_bytes();
  CHECK(a.sent().size() == counted);
}
