// Clients that take their answers, or send their bodies, too slowly: what that costs them, and nobody else.
#include <catch2/catch.hpp>

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
