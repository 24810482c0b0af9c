#include <catch2/catch.hpp>

#include <optional>

#include "origin_support.h"
#include "proxy/client/spool.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;

namespace {

// One piece, and until when it was waited for.
class OnePiece final : public RequestBody {
 public:
  net::Task<Result<Piece>> next(TimePoint deadline) override {
    waited_until = deadline;
    co_return Piece{.bytes = Slice::copy("body"), .last = true};
  }
  void set_max_bytes(std::uint64_t) override {}
  bool complete() const override { return waited_until.has_value(); }
  std::uint64_t bytes() const override { return 4; }

  std::optional<TimePoint> waited_until;
};

}  // namespace

TEST_CASE("How long a client may pause in a body is for the body alone to say, kept or streamed") {
  OriginScene scene;
  scene.node.spool = std::make_shared<Spool>(conf::SpoolOptions(), scene.pool, scene.log, scene.clock);
  scene.server = std::make_unique<ScriptedServer>(scene.worker, std::vector<std::vector<Turn>>{{{ok("")}}});
  scene.add_server(scene.server->address());
  REQUIRE(scene.run([](OriginScene& self) -> net::Task<void> {
    OnePiece kept;
    SpooledBody spooled(self.context, kept, 4);
    auto filled = co_await spooled.fill();
    CHECK(filled);
    CHECK(spooled.is_whole());
    CHECK(kept.waited_until == net::kNoDeadline);
    OnePiece streamed;
    auto answer = co_await fetch(self, post(&streamed, 4));
    CHECK(answer.status == 200);
    CHECK(streamed.waited_until == net::kNoDeadline);
  }));
}
