#include "proxy/client/pace.h"

#include <catch2/catch.hpp>

using namespace vignette;
using namespace vignette::proxy;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint kNow{};

Duration left(const Pace& pace) { return pace.deadline(kNow) - kNow; }

}  // namespace

TEST_CASE("A byte now and then keeps nobody waiting for ever when there is a least rate") {
  Pace pace(30s, 500);
  CHECK(left(pace) == 30s);
  pace.moved(29s, 1);
  CHECK(left(pace) == 1s + 2ms);
  pace.moved(1s, 1);
  CHECK(left(pace) == 4ms);
  pace.moved(4ms, 0);
  CHECK(left(pace) == 0s);
}

TEST_CASE("Who keeps to the rate may go on, and saves up no more than one stall") {
  Pace pace(30s, 500);
  for (int second = 0; second < 1000; ++second) pace.moved(1s, 500);
  CHECK(left(pace) == 30s);
  pace.moved(0s, 1'000'000'000);
  CHECK(left(pace) == 30s);
  pace.moved(20s, 2'500);
  CHECK(left(pace) == 15s);
}

TEST_CASE("Without a rate any byte gives the whole stall back") {
  Pace pace(30s, 0);
  pace.moved(29s, 0);
  CHECK(left(pace) == 1s);
  pace.moved(1s, 1);
  CHECK(left(pace) == 30s);
}

TEST_CASE("No number of bytes is too large for the arithmetic") {
  Pace pace(1h, 1);
  pace.moved(1h, static_cast<std::size_t>(-1));
  CHECK(left(pace) == 1h);
}
