#include <catch2/catch.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/signal.h"
#include "origin_support.h"
#include "proxy/client/tunnel.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;

namespace {

// What has been done to one end.
struct Done {
  std::string taken;
  std::vector<std::string> ends;  // in which ways, in order
};

// Gives one message and then fails, or, without an error, is silent until it is closed.
class ScriptedEnd final : public TunnelEnd {
 public:
  ScriptedEnd(Done& done, std::string_view message, std::optional<Error> error)
      : done_(done), message_(message), error_(error) {}

  net::Task<Result<Slice>> read(TimePoint deadline) override {
    if (!message_.empty()) co_return Slice::copy(std::exchange(message_, {}));
    if (error_) co_return std::unexpected(*error_);
    auto woken = co_await closed_.wait(deadline);
    co_return vignette::fail(woken ? Code::cancelled : woken.error().code, Blame::client, "scripted");
  }
  net::Task<Result<void>> write(Slice bytes, TimePoint) override {
    done_.taken += bytes.view();
    co_return Result<void>();
  }
  void end() override { done_.ends.emplace_back("end"); }
  void close() override { stop("close"); }
  void reset() override { stop("reset"); }

 private:
  void stop(const char* how) {
    done_.ends.emplace_back(how);
    closed_.notify_all();
  }

  Done& done_;
  std::string_view message_;
  const std::optional<Error> error_;
  net::Signal closed_;
};

struct Ended {
  Done client;
  Done origin;
  std::string_view reason;
};

Ended ended;

// A tunnel whose origin sends a message and then fails with `code`.
template <Code code>
net::Task<void> run_until(OriginScene& scene) {
  ended = {};
  const Error error{code, Blame::origin, Retry::no, 0, "scripted"};
  auto outcome =
      co_await run_tunnel(scene.context, std::make_unique<ScriptedEnd>(ended.client, "", std::nullopt),
                          std::make_unique<ScriptedEnd>(ended.origin, "last words", error), 5s);
  ended.reason = outcome.reason;
}

}  // namespace

TEST_CASE("An origin that ends TLS without saying so ends its client's connection in order") {
  OriginScene scene;
  REQUIRE(scene.run(run_until<Code::closed>));
  CHECK(ended.reason == "origin_gone");
  CHECK(ended.client.taken == "last words");
  REQUIRE_FALSE(ended.client.ends.empty());
  CHECK(ended.client.ends.front() == "close");
}

TEST_CASE("An origin that is reset resets its client") {
  OriginScene scene;
  REQUIRE(scene.run(run_until<Code::reset>));
  CHECK(ended.reason == "origin_gone");
  REQUIRE_FALSE(ended.client.ends.empty());
  CHECK(ended.client.ends.front() == "reset");
}
