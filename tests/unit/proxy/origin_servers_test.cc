#include <catch2/catch.hpp>

#include <cstdlib>

#include "origin_support.h"
#include "tests/support/temp_dir.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;

namespace {

// An address where nobody listens.
std::string closed_address() {
  auto listener = net::Listener::open(*net::Address::parse("127.0.0.1:0"));
  VCHECK(listener);
  return listener->address().to_string();
}

void serve(OriginScene& scene, std::vector<std::vector<Turn>> scripts) {
  scene.server = std::make_unique<ScriptedServer>(scene.worker, std::move(scripts));
  scene.add_server(scene.server->address());
}

net::Task<void> wait_for_close(OriginScene& scene, std::size_t connection) {
  while (scene.server->open.contains(connection)) {
    auto turn = co_await net::yield();
    VCHECK(turn);
  }
}

}  // namespace

TEST_CASE("A connection is used for one request after the other") {
  OriginScene scene;
  serve(scene, {{{ok("1")}, {ok("2")}, {ok("3")}, {ok("4")}}});
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    for (int i = 1; i <= 4; ++i) {
      auto answer = co_await fetch(self, get());
      CHECK(answer.body == std::to_string(i));
      CHECK(answer.reused == (i > 1));
      CHECK(answer.attempts == 1);
    }
  }));
  CHECK(scene.server->connections == 1);
  CHECK(scene.state().requests() == 4);
  CHECK(scene.state().failures() == 0);
  CHECK(scene.state().in_flight() == 0);
}

TEST_CASE("A server behind a unix socket is reached") {
  TempDir dir;
  OriginScene scene;
  std::string address = "unix:" + dir.path("app.sock");
  scene.server = std::make_unique<ScriptedServer>(
      scene.worker, std::vector<std::vector<Turn>>{{{ok("unix")}}}, nullptr, address);
  scene.add_server(address);
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    auto answer = co_await fetch(self, get());
    CHECK(answer.body == "unix");
    CHECK(answer.server.starts_with("unix:"));
  }));
}

TEST_CASE("A name is resolved and its server reached") {
  OriginScene scene;
  scene.server =
      std::make_unique<ScriptedServer>(scene.worker, std::vector<std::vector<Turn>>{{{ok("named")}}});
  std::string address = scene.server->address();
  scene.add_server("localhost" + address.substr(address.rfind(':')));
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    auto answer = co_await fetch(self, get());
    CHECK(answer.body == "named");
  }));
}

TEST_CASE("A pooled connection that its server has closed is replaced for a GET") {
  OriginScene scene;
  serve(scene, {{{ok("1")}, {.answer = "", .close = true}}, {{ok("2")}}});
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    co_await fetch(self, get());
    auto answer = co_await fetch(self, get());
    CHECK(answer.body == "2");
    CHECK(answer.attempts == 2);
    CHECK_FALSE(answer.reused);
  }));
  CHECK(scene.server->requests.size() == 3);
  CHECK(scene.state().failures() == 0);
}

TEST_CASE("A GET whose short answer was cut off is asked again, a POST is not") {
  const std::string cut = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe";
  OriginScene scene;
  serve(scene,
        {{{ok("1")}, {.answer = cut, .close = true}}, {{ok("hello")}, {.answer = cut, .close = true}}});
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    co_await fetch(self, get());
    auto again = co_await fetch(self, get());
    CHECK(again.body == "hello");
    CHECK(again.attempts == 2);
    auto once = co_await fetch(self, post(nullptr, 0));
    CHECK(once.body == "he");
    CHECK(once.error);
  }));
  CHECK(scene.server->requests.size() == 4);
}

TEST_CASE("A POST that a server has read and dropped is not sent again") {
  OriginScene scene;
  serve(scene, {{{ok("1")}, {.answer = "", .close = true}}, {{ok("2")}}});
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    co_await fetch(self, get());
    auto answer = co_await fetch(self, post(nullptr, 0));
    REQUIRE(answer.error);
    CHECK(answer.error->code == Code::closed);
    CHECK(answer.error->blame == Blame::origin);
  }));
  CHECK(scene.server->requests.size() == 2);
  CHECK(scene.server->connections == 1);
}

TEST_CASE("A POST takes no pooled connection that its server has closed meanwhile") {
  OriginScene scene;
  serve(scene, {{{.answer = ok("1"), .close = true}}, {{ok("2")}}});
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    co_await fetch(self, get());
    co_await wait_for_close(self, 0);
    Pieces body({"abc"});
    auto answer = co_await fetch(self, post(&body, 3));
    CHECK(answer.body == "2");
    CHECK(answer.attempts == 1);
    CHECK_FALSE(answer.reused);
  }));
}

TEST_CASE("A body that has begun to leave is not sent again, whatever the method") {
  OriginScene scene;
  serve(scene, {{{.answer = "", .close = true}}, {{ok("2")}}});
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    Pieces body({"abc"});
    OriginRequest request = post(&body, 3);
    request.method = http::Method::put;
    request.method_name = "PUT";
    request.idempotent = true;
    auto answer = co_await fetch(self, request);
    CHECK(answer.error);
    CHECK(body.taken == 1);
  }));
  CHECK(scene.server->connections == 1);
}

TEST_CASE("After a refused connect any request goes to another server") {
  for (bool is_post : {false, true}) {
    static bool posts;
    posts = is_post;
    OriginScene scene;
    scene.add_server(closed_address());
    serve(scene, {{{ok("other")}}});
    REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
      Pieces body({"abc"});
      auto answer = co_await fetch(self, posts ? post(&body, 3) : get());
      CHECK(answer.body == "other");
      CHECK(answer.attempts == 2);
      CHECK(answer.server == self.server->address());
    }));
    CHECK(scene.state(0).failures() == 1);
    CHECK(scene.state(1).failures() == 0);
  }
}

TEST_CASE("A server alone is asked three times, then the error is the connect's") {
  OriginScene scene;
  scene.add_server(closed_address());
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    auto answer = co_await fetch(self, get());
    REQUIRE(answer.error);
    CHECK(answer.error->code == Code::refused);
    CHECK(answer.error->blame == Blame::origin);
  }));
  CHECK(scene.state().requests() == 3);
  CHECK(scene.lines.find("more failures since") != std::string::npos);
}

TEST_CASE("With nobody up and nobody reachable the answer is unavailable, with the reason") {
  OriginScene scene;
  scene.add_server(closed_address());
  scene.state().set_active(ActiveHealth::down);
  scene.state().connect_failed({Code::refused, Blame::origin, Retry::yes, 0, "connect"}, scene.worker.now());
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    auto answer = co_await fetch(self, get());
    REQUIRE(answer.error);
    CHECK(answer.error->code == Code::unavailable);
    CHECK(std::string(answer.error->where) == "no server is up");
  }));
  CHECK(scene.state().requests() == 0);
}

TEST_CASE("A GET that times out is asked of another server, and of nobody when there is none") {
  for (bool alone : {false, true}) {
    static bool is_alone;
    is_alone = alone;
    OriginScene scene;
    scene.options.timeouts.first_byte = 30ms;
    serve(scene, {{{.answer = ""}, {.answer = ""}}});
    if (!alone) {
      scene.other =
          std::make_unique<ScriptedServer>(scene.worker, std::vector<std::vector<Turn>>{{{ok("other")}}});
      scene.add_server(scene.other->address());
    }
    REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
      auto answer = co_await fetch(self, get());
      CHECK(answer.error.has_value() == is_alone);
      if (is_alone) CHECK(answer.error->code == Code::timeout);
    }));
    CHECK(scene.server->requests.size() == 1);
  }
}

TEST_CASE("A malformed answer is not asked for again, and five of them eject the server") {
  OriginScene scene;
  serve(scene, {{{.answer = "nonsense\r\n", .close = true}}});
  scene.other = std::make_unique<ScriptedServer>(
      scene.worker, std::vector<std::vector<Turn>>{std::vector<Turn>(40, Turn{.answer = ok("other")})});
  scene.add_server(scene.other->address());
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    int malformed = 0;
    for (int i = 0; i < 20; ++i) {
      auto answer = co_await fetch(self, get());
      if (answer.error && answer.error->code == Code::malformed) ++malformed;
    }
    CHECK(malformed == 5);
  }));
  CHECK(scene.state(0).state(scene.worker.now()) == "ejected");
  CHECK(scene.lines.find("is left out for 10 s after 5 failures") != std::string::npos);
}

TEST_CASE("Answers 502, 503 and 504 pass through and count against their server") {
  OriginScene scene;
  serve(scene, {std::vector<Turn>(8, Turn{.answer = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"})});
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    for (int i = 0; i < 5; ++i) {
      auto answer = co_await fetch(self, get());
      CHECK(answer.status == 503);
      CHECK(answer.attempts == 1);
    }
  }));
  CHECK(scene.state().failures() == 5);
  CHECK(scene.state().state(scene.worker.now()) == "ejected");
}

TEST_CASE("An origin's certificate must be valid, trusted and of its name") {
  TempDir dir;
  auto make = [&](const std::string& label, const std::string& name) {
    net::TlsCertificate files{dir.path(label + ".pem"), dir.path(label + ".key")};
    VCHECK(net::make_self_signed(std::vector<std::string>{name}, files.chain_file, files.key_file));
    return files;
  };
  net::TlsCertificate good = make("good", "app.test");
  net::TlsCertificate stranger = make("stranger", "app.test");
  net::TlsCertificate old = make("old", "app.test");
  std::string command = "openssl x509 -in " + old.chain_file + " -signkey " + old.key_file +
                        " -days -1 -out " + old.chain_file + ".new 2>/dev/null && mv " + old.chain_file +
                        ".new " + old.chain_file;
  REQUIRE(std::system(command.c_str()) == 0);
  struct Case {
    net::TlsCertificate served;
    std::string ca;
    std::string sni;
    bool verify;
    std::string reason;  // "" = it works
  };
  const Case cases[] = {
      {good, good.chain_file, "app.test", true, ""},
      {good, good.chain_file, "wrong.test", true, "hostname mismatch"},
      {stranger, good.chain_file, "app.test", true, "self-signed certificate"},
      {old, old.chain_file, "app.test", true, "certificate has expired"},
      {stranger, "", "wrong.test", false, ""},
  };
  for (const Case& example : cases) {
    INFO(example.reason << " " << example.sni);
    static std::string reason;
    reason = example.reason;
    auto tls = net::TlsServer::create({.certificates = {example.served}});
    REQUIRE(tls);
    OriginScene scene;
    scene.options.tls = conf::OriginTlsOptions{example.verify, example.sni, example.ca};
    scene.server = std::make_unique<ScriptedServer>(
        scene.worker, std::vector<std::vector<Turn>>{{{ok("secret")}, {ok("again")}}}, *tls);
    scene.add_server(scene.server->address());
    REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
      auto answer = co_await fetch(self, get());
      if (reason.empty()) {
        CHECK(answer.body == "secret");
        auto again = co_await fetch(self, get());
        CHECK(again.reused);
        CHECK(again.body == "again");
      } else {
        REQUIRE(answer.error);
        CHECK(answer.error->code == Code::tls);
        CHECK(std::string(answer.error->where) == reason);
      }
    }));
    if (!reason.empty()) {
      CHECK(scene.server->requests.empty());
      CHECK(scene.state().requests() == 1);
      CHECK(scene.lines.find(reason) != std::string::npos);
    }
  }
}
