#include <catch2/catch.hpp>

#include <optional>
#include <string>
#include <vector>

#include "proxy/client/h1_body.h"
#include "tests/unit/proxy/client_streams.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;

namespace {

// A request body: what came with the head is `received`, the rest is what the client sends.
struct Reading {
  explicit Reading(std::string_view with_head, Duration stall = 5s)
      : received(with_head), stall_limit(stall) {}

  void length(std::uint64_t bytes) {
    head.framing = bytes == 0 ? http::Framing::none : http::Framing::length;
    head.content_length = bytes;
  }
  void chunked() { head.framing = http::Framing::chunked; }

  static net::Task<void> take_all(H1Body& body, TimePoint deadline, std::string& got,
                                  std::optional<Error>& error) {
    for (;;) {
      auto piece = co_await body.next(deadline);
      if (!piece) {
        error = piece.error();
        co_return;
      }
      got += piece->bytes.view();
      if (piece->last) co_return;
      if (piece->bytes.empty()) got += "<empty piece>";
    }
  }
  // Reads to the end or to an error.
  void read(std::uint64_t max_bytes = 1 << 20) {
    responder.emplace(client.stream, out, "Sun, 06 Nov 1994 08:49:37 GMT", H1Responder::Options{});
    body.emplace(client.stream, *responder, head, std::span(received),
                 H1Body::Options{.max_bytes = max_bytes, .pace = {stall_limit, 0}});
    REQUIRE(client.run(take_all, std::ref(*body), client.worker.now() + 60s, std::ref(got), std::ref(error)));
  }
  std::string surplus() const { return std::string(body->surplus().data(), body->surplus().size()); }

  ClientStream client;
  std::string received;
  Duration stall_limit;
  http::RequestHead head;
  OutQueue out;
  std::optional<H1Responder> responder;
  std::optional<H1Body> body;
  std::string got;
  std::optional<Error> error;
};

}  // namespace

TEST_CASE("A body that came with its head is read without waiting, and what follows is surplus") {
  Reading r("helloGET / HTTP/1.1\r\n");
  r.length(5);
  r.read();
  CHECK(r.got == "hello");
  CHECK(r.body->complete());
  CHECK(r.body->bytes() == 5);
  CHECK(r.surplus() == "GET / HTTP/1.1\r\n");
}

TEST_CASE("The rest of a body comes from the connection, and not a byte more is taken") {
  Reading r("he");
  r.length(5);
  r.client.client_sends("lloGET /next");
  r.read();
  CHECK(r.got == "hello");
  CHECK(r.body->complete());
  CHECK(r.surplus().empty());
  char rest[32];
  auto left = r.client.stream.try_read(rest);
  REQUIRE(left);
  REQUIRE(*left);
  CHECK(std::string(rest, **left) == "GET /next");
}

TEST_CASE("A chunked body is decoded, its trailers are dropped, and what follows is surplus") {
  Reading r("3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX-Trailer: 1\r\n\r\nGET /next");
  r.chunked();
  r.read();
  CHECK(r.got == "hello");
  CHECK(r.body->complete());
  CHECK(r.body->bytes() == 5);
  CHECK(r.surplus() == "GET /next");
}

TEST_CASE("A chunked body may be cut anywhere between head and connection") {
  const std::string text = "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nNEXT";
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    INFO("cut at " << cut);
    Reading r(text.substr(0, cut));
    r.chunked();
    r.client.client_sends(text.substr(cut));
    r.read();
    CHECK_FALSE(r.error);
    CHECK(r.got == "hello world");
  }
}

TEST_CASE("A body that ends before its length is cut short, and stays broken") {
  Reading r("he");
  r.length(5);
  r.client.client_ends();
  r.read();
  REQUIRE(r.error);
  CHECK(r.error->code == Code::closed);
  CHECK(r.error->blame == Blame::client);
  CHECK_FALSE(r.body->complete());
}

TEST_CASE("A chunked body that ends without its last chunk is cut short") {
  Reading r("5\r\nhello\r\n");
  r.chunked();
  r.client.client_ends();
  r.read();
  CHECK(r.got == "hello");
  REQUIRE(r.error);
  CHECK(r.error->code == Code::closed);
}

TEST_CASE("Broken chunk framing is malformed") {
  for (const char* text :
       {"5\r\nhelloX", "0x5\r\nhello\r\n", "-1\r\n", "5 \r\nhello\r\n", "5\nhello\r\n", "\r\n"}) {
    INFO(text);
    Reading r(text);
    r.chunked();
    r.client.client_ends();
    r.read();
    REQUIRE(r.error);
    CHECK(r.error->code == Code::malformed);
    CHECK(r.error->blame == Blame::client);
    CHECK_FALSE(r.body->complete());
  }
}

TEST_CASE("A body of exactly the limit passes, one byte more does not") {
  Reading at("hello");
  at.length(5);
  at.read(5);
  CHECK(at.got == "hello");

  Reading over("hello!");
  over.length(6);
  over.read(5);
  REQUIRE(over.error);
  CHECK(over.error->code == Code::limit);

  Reading chunks_at("5\r\nhello\r\n0\r\n\r\n");
  chunks_at.chunked();
  chunks_at.read(5);
  CHECK(chunks_at.got == "hello");

  Reading chunks_over("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n");
  chunks_over.chunked();
  chunks_over.read(5);
  REQUIRE(chunks_over.error);
  CHECK(chunks_over.error->code == Code::limit);
}

TEST_CASE("A client that stops sending is given up after the stall") {
  Reading r("he", 50ms);
  r.length(5);
  r.read();
  REQUIRE(r.error);
  CHECK(r.error->code == Code::timeout);
  CHECK(r.error->blame == Blame::client);
}

TEST_CASE("A client that waits for permission gets 100 Continue when its body is wanted") {
  Reading r("");
  r.length(5);
  r.head.expect_continue = true;
  r.client.client_sends("hello");
  r.read();
  CHECK(r.got == "hello");
  CHECK(r.client.client_got() == "HTTP/1.1 100 Continue\r\n\r\n");
}

TEST_CASE("A client that sent its body along does not get 100 Continue") {
  Reading r("hello");
  r.length(5);
  r.head.expect_continue = true;
  r.read();
  CHECK(r.got == "hello");
  CHECK(r.client.client_got().empty());
}

TEST_CASE("A body over the limit is not asked for with 100 Continue") {
  Reading r("");
  r.length(6);
  r.head.expect_continue = true;
  r.read(5);
  REQUIRE(r.error);
  CHECK(r.error->code == Code::limit);
  CHECK(r.client.client_got().empty());
}

TEST_CASE("A large body arrives in pieces of bounded size") {
  Reading r("");
  std::string text(150'000, 'x');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 26);
  r.length(text.size());
  r.client.client_sends(text);
  r.read();
  CHECK(r.got == text);
}
