// Which frames a client may send, and how many, before anything reads what is in them.
#include <catch2/catch.hpp>

#include <set>

#include "http/h2/frame_guard.h"
#include "tests/support/h2_frames.h"

using namespace vignette;
using namespace vignette::http;
namespace h2 = vignette::test::h2;
using namespace std::chrono_literals;

namespace {

struct Streams final : H2FrameGuard::OpenStreams {
  std::set<std::int32_t> open;
  bool is_open(std::int32_t stream) const override { return open.contains(stream); }
};

struct Guarded {
  Guarded() { guard.next(h2::kPreface, streams, now); }
  // The last step of these bytes; what was let through is counted in `passed`.
  H2FrameGuard::Step give(std::string_view bytes, std::size_t piece = 1'000'000) {
    H2FrameGuard::Step step;
    while (!bytes.empty()) {
      step = guard.next(bytes.substr(0, piece), streams, now);
      if (step.error != H2Error::no_error) return step;
      REQUIRE(step.bytes > 0);
      passed += step.bytes;
      bytes.remove_prefix(step.bytes);
    }
    return step;
  }
  H2Error error_of(std::string_view bytes) { return give(bytes).error; }
  // A stream that was opened and is open.
  void open(std::int32_t stream) {
    give(h2::headers(static_cast<std::uint32_t>(stream), h2::get("/")));
    streams.open.insert(stream);
  }
  void close(std::int32_t stream, bool by_us) {
    streams.open.erase(stream);
    guard.on_closed(stream, by_us);
  }

  H2FrameGuard guard;
  Streams streams;
  TimePoint now{1h};
  std::size_t passed = 0;
};

}  // namespace

TEST_CASE("Frames pass whole, one a step, however they are cut") {
  const std::string bytes = h2::settings({{4, 1}}) + h2::headers(1, h2::get("/")) +
                            h2::frame(h2::kPriority, 0, 3, h2::number(0, 5)) + h2::headers(3, h2::get("/a")) +
                            h2::frame(0xFA, 0, 0, "unknown");
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    Guarded guarded;
    CHECK(guarded.give(bytes, piece).error == H2Error::no_error);
    CHECK(guarded.passed == bytes.size());
  }
  Guarded guarded;
  const std::string first = h2::settings({{4, 1}});
  CHECK(guarded.guard.next(bytes, guarded.streams, guarded.now).bytes == first.size());
}

TEST_CASE("What an idle stream may not get ends the connection") {
  CHECK(Guarded().error_of(h2::data(1, "x")) == H2Error::protocol_error);
  CHECK(Guarded().error_of(h2::reset(1, 8)) == H2Error::protocol_error);
  CHECK(Guarded().error_of(h2::window_update(1, 1)) == H2Error::protocol_error);
  CHECK(Guarded().error_of(h2::data(2, "x")) == H2Error::protocol_error);
  CHECK(Guarded().error_of(h2::headers(2, h2::get("/"))) == H2Error::protocol_error);
  CHECK(Guarded().error_of(h2::frame(h2::kPriority, 0, 7, h2::number(0, 5))) == H2Error::no_error);
}

TEST_CASE("A stream that both sides have ended gets no more DATA and HEADERS, but late windows and resets") {
  Guarded guarded;
  guarded.open(1);
  CHECK(guarded.error_of(h2::data(1, "x")) == H2Error::no_error);
  guarded.close(1, false);
  CHECK(guarded.error_of(h2::window_update(1, 1)) == H2Error::no_error);
  CHECK(guarded.error_of(h2::reset(1, 8)) == H2Error::no_error);
  SECTION("DATA") {
    const H2FrameGuard::Step step = guarded.give(h2::data(1, "x"));
    CHECK(step.error == H2Error::stream_closed);
    CHECK(step.reason == "h2_closed_stream");
    CHECK(step.bytes == 0);
  }
  SECTION("HEADERS") { CHECK(guarded.error_of(h2::headers(1, h2::get("/"))) == H2Error::stream_closed); }
}

TEST_CASE("What was on its way to a stream that we have reset is let through") {
  Guarded guarded;
  guarded.open(1);
  guarded.close(1, true);
  guarded.guard.on_closed(1, false);  // said again, when it is gone
  CHECK(guarded.error_of(h2::data(1, "late")) == H2Error::no_error);
  CHECK(guarded.error_of(h2::headers(1, {{"trailer", "1"}})) == H2Error::no_error);
}

TEST_CASE("Numbers that were passed over cannot be used any more") {
  Guarded guarded;
  guarded.open(5);
  CHECK(guarded.give(h2::headers(3, h2::get("/"))).reason == "h2_stream_number");
  Guarded other;
  other.open(5);
  CHECK(other.error_of(h2::data(3, "x")) == H2Error::stream_closed);
}

TEST_CASE("What was closed too long ago to be remembered is taken for late") {
  Guarded guarded;
  for (std::int32_t stream = 1; stream < 201; stream += 2) {
    guarded.open(stream);
    guarded.close(stream, true);
  }
  CHECK(guarded.error_of(h2::data(1, "late")) == H2Error::no_error);
  CHECK(guarded.error_of(h2::headers(1, {{"trailer", "1"}})) == H2Error::no_error);
}

TEST_CASE("Inside a header block the session judges, who knows better what is wrong") {
  Guarded guarded;
  guarded.open(1);
  guarded.close(1, false);
  CHECK(guarded.error_of(h2::headers(3, h2::get("/"), h2::kEnd)) == H2Error::no_error);
  CHECK(guarded.error_of(h2::data(1, "x")) == H2Error::no_error);
}

TEST_CASE("A PRIORITY has a stream, and not itself as the one it depends on") {
  CHECK(Guarded().error_of(h2::frame(h2::kPriority, 0, 0, h2::number(1, 5))) == H2Error::protocol_error);
  const std::string itself = h2::frame(h2::kPriority, 0, 3, h2::number(3, 4) + "\x10");
  CHECK(Guarded().error_of(itself) == H2Error::protocol_error);
  Guarded in_bytes;
  CHECK(in_bytes.give(itself, 1).error == H2Error::protocol_error);
  const std::string exclusive = h2::frame(h2::kPriority, 0, 3, h2::number(0x80000003, 4) + "\x10");
  CHECK(Guarded().error_of(exclusive) == H2Error::protocol_error);
  CHECK(Guarded().error_of(h2::frame(h2::kPriority, 0, 3, "x")) == H2Error::no_error);  // the session's
}

TEST_CASE("Frames that ask for nothing are limited, each kind of them, and time forgives") {
  const std::vector<std::string> kinds = {
      h2::frame(h2::kPing, 0, 0, "12345678"),
      h2::settings(),
      h2::frame(h2::kPriority, 0, 3, h2::number(0, 5)),
      h2::frame(h2::kPriorityUpdate, 0, 0, h2::number(1, 4) + "u=1"),
      h2::data(1, ""),
      h2::data(1, std::string_view("\0", 1), h2::kPadded),
      h2::frame(0xFA, 0, 0, "unknown"),
  };
  for (const std::string& kind : kinds) {
    Guarded guarded;
    guarded.open(1);
    for (unsigned i = 0; i < H2FrameGuard::kIdleFrames; ++i)
      REQUIRE(guarded.error_of(kind) == H2Error::no_error);
    guarded.now += H2FrameGuard::kIdleFramesIn;
    for (unsigned i = 0; i < H2FrameGuard::kIdleFrames; ++i)
      REQUIRE(guarded.error_of(kind) == H2Error::no_error);
    const H2FrameGuard::Step step = guarded.give(kind);
    CHECK(step.error == H2Error::enhance_your_calm);
    CHECK(step.reason == "h2_idle_frames");
  }
}

TEST_CASE("Resets are limited, whoever sends them") {
  Guarded guarded;
  guarded.open(1);
  for (unsigned i = 0; i + 1 < H2FrameGuard::kResets; ++i) {
    REQUIRE(guarded.error_of(h2::reset(1, 8)) == H2Error::no_error);
  }
  CHECK(guarded.guard.count_reset(guarded.now));
  CHECK(guarded.give(h2::reset(1, 8)).reason == "h2_resets");
  CHECK_FALSE(guarded.guard.count_reset(guarded.now));
  CHECK(guarded.guard.count_reset(guarded.now + H2FrameGuard::kResetsIn));
}

TEST_CASE("DATA with bytes, windows and requests are not limited") {
  Guarded guarded;
  guarded.open(1);
  for (unsigned i = 0; i < 2 * H2FrameGuard::kIdleFrames; ++i) {
    REQUIRE(guarded.error_of(h2::data(1, "x") + h2::window_update(1, 1)) == H2Error::no_error);
    REQUIRE(guarded.error_of(h2::data(1, std::string_view("\1x\0", 3), h2::kPadded)) == H2Error::no_error);
    REQUIRE(guarded.error_of(h2::headers(3 + 2 * i, h2::get("/"))) == H2Error::no_error);
  }
}
