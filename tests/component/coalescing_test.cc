// Many clients, one fetch: whoever asks for what is on its way follows it, on whichever worker, and a client
// that leaves takes nobody along. Origins wait at gates, so every scene is the same each time.
#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <string>
#include <vector>

#include "tests/component/scene.h"

using namespace vignette::test;
using namespace std::string_literals;

namespace {

constexpr std::size_t kClients = 24;
const TestNode::Options kTwoWorkers{.workers = 2};

// Clients that have asked for the same target; some on each worker with all likelihood.
std::vector<RawClient> ask_all(Scene& scene, std::string_view target, std::size_t count) {
  std::vector<RawClient> clients;
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back(scene.client());
    clients.back().get(target);
  }
  return clients;
}

// Returns when the node has read that many bytes of requests, and every worker has acted on its own.
void wait_for_requests(Scene& scene, std::size_t bytes) {
  auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (scene.node.metric("vignette_received_bytes_total") < static_cast<double>(bytes)) {
    if (std::chrono::steady_clock::now() > limit) FAIL("the node has not read its requests");
  }
  scene.node.settle();
}

std::size_t request_bytes(std::string_view target) {
  return "GET  HTTP/1.1\r\nHost: test.local\r\n\r\n"s.size() + target.size();
}

}  // namespace

TEST_CASE("Clients on several workers that ask for one cold object cause one fetch") {
  Gate gate;
  const std::string body = pattern(300'000);
  Scene scene(
      [&](const OriginCall&, const ScriptedOrigin::Send& send) {
        gate.wait();
        return send(ScriptedOrigin::answer(200, "Cache-Control: max-age=60\r\n", body));
      },
      "", "", kTwoWorkers);
  std::vector<RawClient> clients = ask_all(scene, "/a", kClients);
  wait_for_requests(scene, kClients * request_bytes("/a"));
  gate.open();
  std::size_t collapsed = 0;
  for (RawClient& client : clients) {
    RawResponse answer = client.read();
    CHECK(answer.status == 200);
    CHECK((answer.body == body));
    CHECK(answer.complete);
    collapsed += answer.field("cache-status").find("collapsed") != std::string::npos ? 1 : 0;
  }
  CHECK(scene.origin.calls() == 1);
  CHECK(collapsed == kClients - 1);
  CHECK(scene.node.metric("vignette_fills_started_total") == 1);
}

TEST_CASE("Followers get bytes as they arrive, not when all is there") {
  Gate gate;
  const std::string body = pattern(200'000);
  Scene scene(
      [&](const OriginCall&, const ScriptedOrigin::Send& send) {
        send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 200000\r\n\r\n" +
             body.substr(0, 1000));
        gate.wait();
        return send(body.substr(1000));
      },
      "", "", kTwoWorkers);
  std::vector<RawClient> clients = ask_all(scene, "/a", 4);
  for (RawClient& client : clients) {
    // Heads come while the origin stands at the gate.
    char byte = 0;
    REQUIRE(::recv(client.descriptor(), &byte, 1, MSG_PEEK) == 1);
    CHECK(byte == 'H');
  }
  gate.open();
  for (RawClient& client : clients) CHECK((client.read().body == body));
  CHECK(scene.origin.calls() == 1);
}

TEST_CASE("The client that started a fetch may leave; the others and the cache get it all the same") {
  Gate gate;
  const std::string body = pattern(100'000);
  Scene scene(
      [&](const OriginCall&, const ScriptedOrigin::Send& send) {
        gate.wait();
        return send(ScriptedOrigin::answer(200, "Cache-Control: max-age=60\r\n", body));
      },
      "", "", kTwoWorkers);
  RawClient leader = scene.client();
  leader.get("/a");
  REQUIRE(scene.origin.wait_for_calls(1));
  std::vector<RawClient> followers = ask_all(scene, "/a", 6);
  wait_for_requests(scene, 7 * request_bytes("/a"));
  leader.reset();
  scene.node.settle();
  gate.open();
  for (RawClient& client : followers) CHECK((client.read().body == body));
  RawResponse hit = scene.client().fetch("/a");
  CHECK(hit.field("cache-status").find("hit") != std::string::npos);
  CHECK(scene.origin.calls() == 1);
}

TEST_CASE("A fetch whose clients have all left still ends in the cache") {
  Gate gate;
  Scene scene([&](const OriginCall&, const ScriptedOrigin::Send& send) {
    gate.wait();
    return send(ScriptedOrigin::answer(200, "Cache-Control: max-age=60\r\n", "kept"));
  });
  RawClient leader = scene.client();
  leader.get("/a");
  REQUIRE(scene.origin.wait_for_calls(1));
  leader.reset();
  scene.node.settle();
  gate.open();
  CHECK(scene.client().fetch("/a").body == "kept");
  CHECK(scene.origin.calls() == 1);
}

TEST_CASE("An origin that is cut in the middle gives nobody a clean end") {
  const std::string body = pattern(100'000);
  for (const char* framing : {"Content-Length: 100000\r\n", "Transfer-Encoding: chunked\r\n"}) {
    INFO(framing);
    Gate cut;
    Scene scene(
        [&](const OriginCall& call, const ScriptedOrigin::Send& send) {
          if (call.number > 1)
            return send(ScriptedOrigin::answer(200, "Cache-Control: max-age=60\r\n", "whole"));
          send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"s + framing + "\r\n");
          send(framing[0] == 'T' ? "c350\r\n" + body.substr(0, 50'000) + "\r\n" : body.substr(0, 50'000));
          cut.wait();
          return false;
        },
        "", "", kTwoWorkers);
    std::vector<RawClient> clients = ask_all(scene, "/a", 8);
    wait_for_requests(scene, 8 * request_bytes("/a"));
    cut.open();
    for (RawClient& client : clients) {
      RawResponse answer = client.read();
      CHECK_FALSE((answer.status == 200 && answer.complete));
    }
    CHECK(scene.client().fetch("/a").body == "whole");
    CHECK(scene.origin.calls() == 2);
  }
}

TEST_CASE("An origin that fails before its head fails everybody who waited, and only them") {
  Gate gate;
  Scene scene(
      [&](const OriginCall& call, const ScriptedOrigin::Send& send) {
        if (call.target == "/ok") return send(ScriptedOrigin::answer(200, "", "ok"));
        gate.wait();
        send("nonsense\r\n\r\n");
        return false;
      },
      "", "", kTwoWorkers);
  std::vector<RawClient> clients = ask_all(scene, "/a", 8);
  wait_for_requests(scene, 8 * request_bytes("/a"));
  gate.open();
  for (RawClient& client : clients) {
    CHECK(client.read().status == 502);
    CHECK(client.fetch("/ok").status == 200);
  }
}

TEST_CASE("What may not be stored is fetched side by side, and each client gets its own") {
  std::atomic<int> inside{0};
  Gate all_inside;
  Scene scene(
      [&](const OriginCall& call, const ScriptedOrigin::Send& send) {
        if (call.number > 1 && ++inside == 6) all_inside.open();
        if (call.number > 1) all_inside.wait();
        return send(ScriptedOrigin::answer(200, "Cache-Control: private\r\n", call.field("cookie")));
      },
      "", "", kTwoWorkers);
  CHECK(scene.client().fetch("/a", "Cookie: first\r\n").body == "first");
  // Now the key is known for what it is: six requests are with the origin at once, or none would be answered.
  std::vector<RawClient> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(scene.client());
    clients.back().get("/a", "Cookie: c" + std::to_string(i) + "\r\n");
  }
  for (std::size_t i = 0; i < clients.size(); ++i) CHECK(clients[i].read().body == "c" + std::to_string(i));
  CHECK(scene.origin.calls() == 7);
}

TEST_CASE("Clients that waited for what turns out to be private are given answers of their own") {
  Gate gate;
  Scene scene(
      [&](const OriginCall& call, const ScriptedOrigin::Send& send) {
        if (call.number == 1) gate.wait();
        return send(ScriptedOrigin::answer(200, "Cache-Control: private\r\n", call.field("cookie")));
      },
      "", "", kTwoWorkers);
  std::vector<RawClient> clients;
  std::size_t bytes = 0;
  for (int i = 0; i < 6; ++i) {
    std::string cookie = "Cookie: c" + std::to_string(i) + "\r\n";
    clients.push_back(scene.client());
    clients.back().get("/a", cookie);
    bytes += request_bytes("/a") + cookie.size();
  }
  wait_for_requests(scene, bytes);
  REQUIRE(scene.origin.wait_for_calls(1));
  CHECK(scene.origin.calls() == 1);
  gate.open();
  for (std::size_t i = 0; i < clients.size(); ++i) CHECK(clients[i].read().body == "c" + std::to_string(i));
}

TEST_CASE("Clients that waited for another variant get their own") {
  Gate gate;
  Scene scene(
      [&](const OriginCall& call, const ScriptedOrigin::Send& send) {
        if (call.number == 1) gate.wait();
        return send(ScriptedOrigin::answer(200, "Cache-Control: max-age=60\r\nVary: Accept-Language\r\n",
                                           call.field("accept-language")));
      },
      "", "", kTwoWorkers);
  std::vector<RawClient> clients;
  std::size_t bytes = 0;
  const std::vector<std::string> languages{"de", "en", "de", "fr", "en", "de"};
  for (const std::string& language : languages) {
    std::string line = "Accept-Language: " + language + "\r\n";
    clients.push_back(scene.client());
    clients.back().get("/a", line);
    bytes += request_bytes("/a") + line.size();
  }
  wait_for_requests(scene, bytes);
  gate.open();
  for (std::size_t i = 0; i < clients.size(); ++i) CHECK(clients[i].read().body == languages[i]);
}

TEST_CASE("An object larger than the cache takes passes at its reader's pace, in bounded memory") {
  constexpr std::size_t kPiece = 64 * 1024;
  constexpr std::size_t kPieces = 768;  // 48 MiB
  const std::string piece = pattern(kPiece);
  std::atomic<std::size_t> sent{0};
  Scene scene(
      [&](const OriginCall&, const ScriptedOrigin::Send& send) {
        if (!send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: " +
                  std::to_string(kPiece * kPieces) + "\r\n\r\n")) {
          return false;
        }
        for (std::size_t i = 0; i < kPieces; ++i) {
          if (!send(piece)) return false;
          ++sent;
        }
        return true;
      },
      "", "[cache]\nmemory = \"4MiB\"\nmax_object = \"1MiB\"\n");
  RawClient client = scene.client();
  client.get("/big");
  REQUIRE(scene.origin.wait_for_calls(1));
  // Nothing is read yet. What the origin could get rid of lies in sockets and in the window of the fill.
  std::size_t before = 0;
  do {
    before = sent;
    for (int i = 0; i < 200; ++i) scene.node.settle();
  } while (before != sent);
  CHECK(before < kPieces / 2);
  CHECK(scene.node.store().stats().used_bytes <= 4u << 20);
  RawResponse answer = client.read();
  CHECK(answer.complete);
  REQUIRE(answer.body.size() == kPiece * kPieces);
  for (std::size_t i = 0; i < kPieces; ++i) {
    if (std::string_view(answer.body).substr(i * kPiece, kPiece) != piece) FAIL("piece " << i << " differs");
  }
  CHECK(scene.client().fetch("/big").complete);
  CHECK(scene.origin.calls() == 2);
}
