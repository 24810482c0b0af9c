#include <catch2/catch.hpp>

#include "origin_support.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;

namespace {

struct Outcome {
  Answer answer;
  TransactProgress progress;
};

enum class End : std::uint8_t { none, close, reset };

// One transaction over a new connection, without the retries of an origin. `end`: what the server does to the
// connection just before.
net::Task<Outcome> transact_once(OriginScene& scene, OriginRequest request, Duration first_byte = 5s,
                                 End end = End::none) {
  Outcome outcome;
  request.host = "example.test";
  auto connection = co_await scene.context.pools.connect(scene.endpoint(), scene.worker.now() + 5s);
  VCHECK(connection);
  if (end != End::none) {
    while (scene.server->open.empty()) {
      auto turn = co_await net::yield();
      VCHECK(turn);
    }
    net::Stream& theirs = *scene.server->open.begin()->second;
    end == End::reset ? theirs.reset() : theirs.close();
  }
  OriginResponse response;
  TransactOptions options{.first_byte = first_byte};
  auto done = co_await transact(std::move(*connection), request, options, response, outcome.progress);
  if (!done) {
    outcome.answer.error = done.error();
    co_return outcome;
  }
  co_await take(scene.worker, response, outcome.answer);
  co_return outcome;
}

// What `turn` makes of a GET.
Outcome ask(Turn turn) {
  static Outcome outcome;
  outcome = {};
  OriginScene scene;
  scene.server =
      std::make_unique<ScriptedServer>(scene.worker, std::vector<std::vector<Turn>>{{std::move(turn)}});
  scene.add_server(scene.server->address());
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    outcome = co_await transact_once(self, get());
    CHECK(self.state().in_flight() == 0);
  }));
  return outcome;
}

std::string head(std::string_view lines) { return "HTTP/1.1 200 OK\r\n" + std::string(lines) + "\r\n"; }

}  // namespace

TEST_CASE("A small answer is one piece, and its connection is back in the pool before it is read") {
  OriginScene scene;
  scene.server =
      std::make_unique<ScriptedServer>(scene.worker, std::vector<std::vector<Turn>>{{{ok("hello")}}});
  scene.add_server(scene.server->address());
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    auto outcome = co_await transact_once(self, get("/a?"));
    CHECK(outcome.answer.status == 200);
    CHECK(outcome.answer.body == "hello");
    CHECK(outcome.answer.pieces == 1);
    CHECK(self.context.pools.idle(self.endpoint()) == 1);
  }));
  CHECK(scene.server->requests.at(0) == "GET /a? HTTP/1.1\r\nHost: example.test\r\n\r\n");
}

TEST_CASE("Heads and bodies may come in any pieces") {
  const std::string whole = ok("hello");
  for (std::size_t cut = 1; cut < whole.size(); cut += 7) {
    INFO(cut);
    auto outcome = ask({.answer = whole, .again_after = cut});
    CHECK_FALSE(outcome.answer.error);
    CHECK(outcome.answer.body == "hello");
  }
  const std::string chunked =
      head("Transfer-Encoding: chunked\r\n") + "3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nT: 1\r\n\r\n";
  for (std::size_t cut = 40; cut < chunked.size(); ++cut) {
    INFO(cut);
    auto outcome = ask({.answer = chunked, .again_after = cut});
    CHECK_FALSE(outcome.answer.error);
    CHECK(outcome.answer.body == "abcdefg");
  }
}

TEST_CASE("A large body arrives whole, by length, in chunks and until the close") {
  std::string body;
  for (int i = 0; body.size() < 300'000; ++i) body += std::to_string(i) + ",";
  auto by_length = ask({.answer = ok(body)});
  CHECK(by_length.answer.body == body);
  std::string chunks = head("Transfer-Encoding: chunked\r\n");
  for (std::size_t at = 0; at < body.size(); at += 10'000) {
    std::string part = body.substr(at, 10'000);
    std::array<char, http::kChunkHeaderBytes> line;
    chunks.append(line.data(), http::write_chunk_header(part.size(), line));
    chunks += part + "\r\n";
  }
  auto chunked = ask({.answer = chunks + "0\r\n\r\n"});
  CHECK(chunked.answer.body == body);
  auto until_close = ask({.answer = head("") + body, .close = true});
  CHECK_FALSE(until_close.answer.error);
  CHECK(until_close.answer.body == body);
}

TEST_CASE("What is not HTTP is malformed, with the reason, and blames the origin") {
  struct Case {
    std::string answer;
    std::string where;
  };
  const Case cases[] = {
      {"SSH-2.0-OpenSSH\r\n", "bad_status_line"},
      {"HTTP/1.1 2000 OK\r\n\r\n", "bad_status_line"},
      {head("Content-Length: 1\r\nContent-Length: 2\r\n"), "several_content_lengths"},
      {head("Content-Length: -1\r\n"), "bad_content_length"},
      {head("A : c\r\n"), "space_before_colon"},
      {head("X: y\n\r\n"), "bare_lf"},
      {head("Transfer-Encoding: chunked\r\n") + "zz\r\n", "bad_chunk_size"},
      {head("X: " + std::string(40'000, 'x') + "\r\n"), "header_too_large"},
      {"HTTP/1.1 101 Switching Protocols\r\n\r\n", "unexpected_upgrade"},
  };
  for (const Case& example : cases) {
    INFO(example.where);
    auto outcome = ask({.answer = example.answer});
    REQUIRE(outcome.answer.error);
    CHECK(outcome.answer.error->code == Code::malformed);
    CHECK(outcome.answer.error->blame == Blame::origin);
    CHECK(outcome.answer.error->retry == Retry::no);
    CHECK(std::string(outcome.answer.error->where) == example.where);
  }
}

TEST_CASE("A body that ends early is an error, never a clean end") {
  for (const std::string& answer : {head("Content-Length: 100000\r\n") + "12345",
                                    head("Transfer-Encoding: chunked\r\n") + "5\r\n12345\r\n"}) {
    auto outcome = ask({.answer = answer, .close = true});
    REQUIRE(outcome.answer.error);
    CHECK(outcome.answer.error->code == Code::closed);
    CHECK(outcome.answer.error->blame == Blame::origin);
    CHECK(outcome.answer.body == "12345");
    CHECK(outcome.progress.answered);
  }
  auto shorter = ask({.answer = head("Content-Length: 10\r\n") + "12345", .close = true});
  REQUIRE(shorter.answer.error);
  CHECK(shorter.answer.error->code == Code::closed);
  CHECK(shorter.answer.body.empty());
  CHECK_FALSE(shorter.progress.answered);
  auto nothing = ask({.answer = "HTTP/1.1 200 OK\r\nContent", .close = true});
  REQUIRE(nothing.answer.error);
  CHECK(nothing.answer.error->code == Code::closed);
  CHECK(nothing.progress.answered);
}

TEST_CASE("Up to eight interim answers are consumed, the ninth is refused") {
  std::string interim;
  for (int i = 0; i < 8; ++i) interim += "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  auto fine = ask({.answer = interim + ok("x")});
  CHECK(fine.answer.status == 200);
  CHECK(fine.answer.fields.find("link") == std::string::npos);
  auto refused = ask({.answer = interim + "HTTP/1.1 103 Early Hints\r\n\r\n" + ok("x")});
  REQUIRE(refused.answer.error);
  CHECK(std::string(refused.answer.error->where) == "too_many_interim_responses");
}

TEST_CASE("Hop-by-hop fields and framing are taken off an answer") {
  auto outcome = ask({.answer = head("Connection: close, X-Own\r\nX-Own: 1\r\nKeep-Alive: timeout=5\r\n"
                                     "Content-Length: 2\r\nContent-Type: text/plain\r\n") +
                                "ok"});
  CHECK(outcome.answer.fields == "content-type: text/plain\n");
  CHECK(outcome.answer.body == "ok");
}

TEST_CASE("Connections with anything in doubt are not used again") {
  const std::string answers[] = {
      head("Content-Length: 2\r\nConnection: close\r\n") + "ok",
      head("Content-Length: 2\r\n") + "okHTTP/1.1 200 OK\r\n",
      "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
      head("Transfer-Encoding: chunked\r\n") + "2\r\nok\r\n0\r\n\r\nmore",
  };
  for (const std::string& answer : answers) {
    INFO(answer);
    static std::size_t idle = 0;
    OriginScene scene;
    scene.server =
        std::make_unique<ScriptedServer>(scene.worker, std::vector<std::vector<Turn>>{{{.answer = answer}}});
    scene.add_server(scene.server->address());
    REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
      auto outcome = co_await transact_once(self, get());
      CHECK(outcome.answer.body == "ok");
      idle = self.context.pools.idle();
    }));
    CHECK(idle == 0);
  }
}

TEST_CASE("Bytes behind a body that arrived apart from its head are noticed") {
  static std::size_t idle = 0;
  const std::string answer = head("Content-Length: 2\r\n") + "okHTTP/1.1 200 OK\r\n";
  for (bool more : {false, true}) {
    OriginScene scene;
    Turn turn{.answer = more ? answer : answer.substr(0, answer.find("ok") + 2),
              .again_after = answer.find("ok")};
    scene.server =
        std::make_unique<ScriptedServer>(scene.worker, std::vector<std::vector<Turn>>{{turn, turn}});
    scene.add_server(scene.server->address());
    REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
      auto outcome = co_await transact_once(self, get());
      CHECK(outcome.answer.body == "ok");
      idle = self.context.pools.idle();
    }));
    CHECK(idle == (more ? 0u : 1u));
  }
}

TEST_CASE("An answer to HEAD has no body but tells its length") {
  OriginScene scene;
  scene.server = std::make_unique<ScriptedServer>(
      scene.worker, std::vector<std::vector<Turn>>{{{.answer = head("Content-Length: 1234\r\n")}}});
  scene.add_server(scene.server->address());
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    OriginRequest request = get();
    request.method = http::Method::head;
    request.method_name = "HEAD";
    auto response = co_await self.origin().fetch(self.context, request);
    REQUIRE(response);
    CHECK(!response->body);
    CHECK(response->content_length == 1234u);
    CHECK(self.context.pools.idle() == 1);
  }));
}

TEST_CASE("Request bodies are sent by length or in chunks of their own") {
  OriginScene scene;
  scene.server = std::make_unique<ScriptedServer>(
      scene.worker, std::vector<std::vector<Turn>>{{{ok("1")}, {ok("2")}, {ok("3")}}});
  scene.add_server(scene.server->address());
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    Pieces first({"abc", "defg"});
    auto by_length = co_await transact_once(self, post(&first, 7));
    CHECK(by_length.answer.body == "1");
    Pieces second({"abc", "", "defg"});
    OriginRequest request = post(&second, 0);
    request.framing = http::Framing::chunked;
    auto chunked = co_await transact_once(self, request);
    CHECK(chunked.answer.body == "1");
    auto empty = co_await transact_once(self, post(nullptr, 0));
    CHECK(empty.answer.status == 200);
  }));
  REQUIRE(scene.server->requests.size() == 3);
  CHECK(scene.server->requests[0] ==
        "POST / HTTP/1.1\r\nHost: example.test\r\nContent-Length: 7\r\n\r\nabcdefg");
  CHECK(scene.server->requests[1] ==
        "POST / HTTP/1.1\r\nHost: example.test\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
  CHECK(scene.server->requests[2] == "POST / HTTP/1.1\r\nHost: example.test\r\nContent-Length: 0\r\n\r\n");
}

TEST_CASE("An origin that answers before it has the body is heard, and its connection not used again") {
  OriginScene scene;
  std::string answer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig";
  scene.server = std::make_unique<ScriptedServer>(
      scene.worker, std::vector<std::vector<Turn>>{
                        {{.answer = answer, .before_body = true}, {.answer = "", .before_body = true}}});
  scene.add_server(scene.server->address());
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    // More than the buffers of both sockets hold: only the early answer can end this.
    Pieces body(std::vector<std::string>(64, std::string(1u << 20, 'x')));
    auto outcome = co_await transact_once(self, post(&body, 64u << 20));
    CHECK(outcome.answer.status == 413);
    CHECK(outcome.answer.body == "big");
    CHECK(body.taken < 64);
    CHECK(self.context.pools.idle() == 0);
  }));
}

TEST_CASE("A body shorter or longer than announced never reaches the origin as something else") {
  for (std::uint64_t announced : {6u, 8u}) {
    static std::uint64_t length;
    length = announced;
    OriginScene scene;
    scene.server =
        std::make_unique<ScriptedServer>(scene.worker, std::vector<std::vector<Turn>>{{{ok("1")}}});
    scene.add_server(scene.server->address());
    REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
      Pieces body({"abc", "defg"});
      auto outcome = co_await transact_once(self, post(&body, length));
      REQUIRE(outcome.answer.error);
      CHECK(outcome.answer.error->blame == Blame::internal);
    }));
    CHECK(scene.server->requests.empty());
  }
}

TEST_CASE("A silent origin is a time-out that it is blamed for") {
  OriginScene scene;
  scene.server = std::make_unique<ScriptedServer>(scene.worker, std::vector<std::vector<Turn>>{{{""}, {""}}});
  scene.add_server(scene.server->address());
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    auto outcome = co_await transact_once(self, get(), 30ms);
    REQUIRE(outcome.answer.error);
    CHECK(outcome.answer.error->code == Code::timeout);
    CHECK(outcome.answer.error->blame == Blame::origin);
    CHECK_FALSE(outcome.progress.answered);
    CHECK_FALSE(outcome.progress.nothing_ran);
  }));
}

TEST_CASE("A request to a connection that has ended has run nothing; one that was read may have") {
  OriginScene scene;
  scene.server = std::make_unique<ScriptedServer>(
      scene.worker, std::vector<std::vector<Turn>>{{{ok("")}}, {{ok("")}}, {{.answer = "", .close = true}}});
  scene.add_server(scene.server->address());
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    for (End end : {End::reset, End::close}) {
      auto ended = co_await transact_once(self, post(nullptr, 0), 5s, end);
      REQUIRE(ended.answer.error);
      CHECK(ended.answer.error->retry == Retry::if_reused);
      CHECK(ended.progress.nothing_ran);
      CHECK(self.server->requests.empty());
    }
    auto acted = co_await transact_once(self, post(nullptr, 0));
    REQUIRE(acted.answer.error);
    CHECK(acted.answer.error->retry == Retry::if_reused);
    CHECK_FALSE(acted.progress.nothing_ran);
    CHECK(self.server->requests.size() == 1);
  }));
}
