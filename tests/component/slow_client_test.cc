// Clients that take their answers, or send their bodies, too slowly: what that costs them, and nobody else.
#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/socket.h>

#include <string>

#include "tests/component/scene.h"

using namespace vignette::test;
using namespace std::chrono_literals;

namespace {

// More than all buffers between the origin and a client that reads nothing.
constexpr std::size_t kFilm = std::size_t{32} << 20;

// Returns when the counter is no longer 0.
void wait_for(TestNode& node, std::string_view counter, std::string_view labels = "") {
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (node.metric(counter, labels) == 0) {
    if (std::chrono::steady_clock::now() > limit) FAIL("nothing was counted in " << counter);
  }
}

// Whether there is something to read, or the end of it.
bool has_answer(const RawClient& client) {
  pollfd state{client.descriptor(), POLLIN, 0};
  return ::poll(&state, 1, 0) > 0;
}

// No client of a test is so fast that it keeps to this rate, however steadily it goes on.
constexpr std::string_view kHurried =
    "[timeouts]\nbody_stall = \"100ms\"\nsend_stall = \"100ms\"\nmin_rate = \"1GiB\"\n";

ScriptedOrigin::Script films(std::string lines) {
  return [lines, film = pattern(kFilm)](const OriginCall& call, const ScriptedOrigin::Send& send) {
    return send(ScriptedOrigin::answer(200, lines, call.target == "/film" ? film : "short"));
  };
}

}  // namespace

TEST_CASE("A client too slow for an answer that is not stored is cut off, and its worker serves on") {
  Scene scene(films("Cache-Control: private\r\n"), "", "", {.reader_stall = 50ms});
  RawClient slow = scene.client();
  slow.get("/film");
  wait_for(scene.node, "vignette_readers_cut_total");
  const RawResponse answer = slow.read();
  CHECK(answer.status == 200);
  CHECK_FALSE(answer.complete);
  CHECK(scene.client().fetch("/other").body == "short");
}

TEST_CASE("A body that trickles in byte after byte, never stalling, is answered 408") {
  Scene scene(films(""), "", kHurried);
  RawClient client = scene.client();
  client.send("POST / HTTP/1.1\r\nHost: test.local\r\nContent-Length: 10000000\r\n\r\n");
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (!has_answer(client) && std::chrono::steady_clock::now() < limit) {
    client.send("x");
    scene.node.settle();
  }
  CHECK(client.read().status == 408);
  CHECK(scene.node.metric("vignette_refusals_total", "body_timeout") == 1);
}

TEST_CASE("A client that takes its answer bit by bit, never stalling, is given up") {
  Scene scene(films("Cache-Control: no-store\r\n"), "", kHurried, {.access_log = true});
  RawClient client = scene.client();
  client.get("/film");
  std::size_t taken = 0;
  while (scene.node.metric("vignette_answers_stalled_total") == 0 && taken < kFilm) {
    char bytes[1024];
    const ssize_t got = ::recv(client.descriptor(), bytes, sizeof bytes, 0);
    if (got <= 0) break;
    taken += static_cast<std::size_t>(got);
  }
  CHECK(scene.node.metric("vignette_answers_stalled_total") == 1);
  CHECK(taken < kFilm);
  REQUIRE(scene.node.access_log().size() == 1);
  CHECK(scene.node.access_log()[0].find("\"send_timeout\"") != std::string::npos);
}
