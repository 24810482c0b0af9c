#include "proxy/origin/s3_backoff.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "proxy/origin/s3_clock.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace std::chrono_literals;
using Admission = S3Backoff::Admission;

TEST_CASE("A calm store is asked by everybody, and one overload holds all back for a window") {
  ManualClock clock;
  S3Backoff backoff;
  CHECK(backoff.admit(clock.now()) == Admission::go);
  backoff.succeeded(clock.now());
  backoff.throttled(clock.now(), std::nullopt, 0.0);
  CHECK(backoff.left(clock.now()) == 100ms);
  CHECK(backoff.admit(clock.now()) == Admission::refuse);
  clock.advance(99ms);
  CHECK(backoff.admit(clock.now()) == Admission::refuse);
  clock.advance(1ms);
  CHECK(backoff.left(clock.now()) == 0ms);
}

TEST_CASE("After a window one request goes alone, and its answer opens the store to all") {
  ManualClock clock;
  S3Backoff backoff;
  backoff.throttled(clock.now(), std::nullopt, 0.0);
  clock.advance(100ms);
  CHECK(backoff.admit(clock.now()) == Admission::probe);
  CHECK(backoff.admit(clock.now()) == Admission::refuse);
  backoff.succeeded(clock.now());
  CHECK(backoff.admit(clock.now()) == Admission::go);
  CHECK(backoff.admit(clock.now()) == Admission::go);
}

TEST_CASE("A probe that never comes back does not shut the store for good") {
  ManualClock clock;
  S3Backoff backoff;
  backoff.throttled(clock.now(), 60s, 0.0);
  clock.advance(60s);
  CHECK(backoff.admit(clock.now()) == Admission::probe);
  clock.advance(999ms);
  CHECK(backoff.admit(clock.now()) == Admission::refuse);
  clock.advance(1ms);
  CHECK(backoff.admit(clock.now()) == Admission::probe);
}

TEST_CASE("Windows double up to the longest, and start small again after an answer") {
  ManualClock clock;
  S3Backoff backoff;
  const Duration expected[] = {200ms, 400ms, 800ms, 1600ms, 3200ms, 6400ms, 12800ms, 20s, 20s};
  for (const Duration window : expected) {
    backoff.throttled(clock.now(), std::nullopt, 1.0);
    CHECK(backoff.left(clock.now()) == window);
    clock.advance(window);
    CHECK(backoff.admit(clock.now()) == Admission::probe);
  }
  backoff.succeeded(clock.now());
  backoff.throttled(clock.now(), std::nullopt, 1.0);
  CHECK(backoff.left(clock.now()) == 200ms);
}

TEST_CASE("Jitter takes at most half of a window") {
  for (const auto& [jitter, left] : {std::pair<double, Duration>{0.0, 100ms}, {0.5, 150ms}, {1.0, 200ms}}) {
    ManualClock clock;
    S3Backoff backoff;
    backoff.throttled(clock.now(), std::nullopt, jitter);
    CHECK(backoff.left(clock.now()) == left);
  }
  CHECK(S3Backoff::retry_delay(0, 0.0) == 50ms);
  CHECK(S3Backoff::retry_delay(0, 1.0) == 100ms);
  CHECK(S3Backoff::retry_delay(1, 1.0) == 200ms);
}

TEST_CASE("Retry-After is kept to, up to two minutes") {
  ManualClock clock;
  S3Backoff backoff;
  backoff.throttled(clock.now(), 7s, 0.0);
  CHECK(backoff.left(clock.now()) == 7s);
  clock.advance(1s);
  backoff.succeeded(clock.now());  // asked before the refusal
  CHECK(backoff.admit(clock.now()) == Admission::refuse);
  backoff.throttled(clock.now(), 10s, 0.0);  // another of the same crowd, told to wait longer
  CHECK(backoff.left(clock.now()) == 10s);
  S3Backoff far;
  far.throttled(clock.now(), 86400s, 0.0);
  CHECK(far.left(clock.now()) == 120s);
  S3Backoff furthest;
  furthest.throttled(clock.now(), 250'000'000'000s, 0.0);  // a date in 9999
  CHECK(furthest.left(clock.now()) == 120s);
}

TEST_CASE("A crowd that is refused together makes one window") {
  ManualClock clock;
  S3Backoff backoff;
  for (int i = 0; i < 100; ++i) backoff.throttled(clock.now(), std::nullopt, 1.0);
  CHECK(backoff.left(clock.now()) == 200ms);
}

TEST_CASE("Other errors hold back only when three come in a row") {
  ManualClock clock;
  S3Backoff backoff;
  backoff.failed(clock.now(), 1.0);
  backoff.failed(clock.now(), 1.0);
  CHECK(backoff.admit(clock.now()) == Admission::go);
  backoff.succeeded(clock.now());
  backoff.failed(clock.now(), 1.0);
  backoff.failed(clock.now(), 1.0);
  CHECK(backoff.admit(clock.now()) == Admission::go);
  backoff.failed(clock.now(), 1.0);
  CHECK(backoff.admit(clock.now()) == Admission::refuse);
  clock.advance(200ms);
  CHECK(backoff.admit(clock.now()) == Admission::probe);
  backoff.failed(clock.now(), 1.0);  // the probe: at once
  CHECK(backoff.left(clock.now()) == 400ms);
}

TEST_CASE("Retries have a budget, which answers fill again, a tenth each") {
  ManualClock clock;
  S3Backoff backoff;
  for (std::uint32_t i = 0; i < S3Backoff::kBudget; ++i) CHECK(backoff.take_retry());
  CHECK_FALSE(backoff.take_retry());
  for (int i = 0; i < 9; ++i) backoff.succeeded(clock.now());
  CHECK_FALSE(backoff.take_retry());
  backoff.succeeded(clock.now());
  CHECK(backoff.take_retry());
  for (int i = 0; i < 1000; ++i) backoff.succeeded(clock.now());
  std::uint32_t taken = 0;
  while (backoff.take_retry()) ++taken;
  CHECK(taken == S3Backoff::kBudget);
}

TEST_CASE("Of many workers that come after a window, one is the probe") {
  ManualClock clock;
  S3Backoff backoff;
  std::atomic<int> probes{0};
  std::atomic<int> retries{0};
  backoff.throttled(clock.now(), std::nullopt, 0.0);
  clock.advance(200ms);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 50; ++k) {
        probes += backoff.admit(clock.now()) == Admission::probe;
        retries += backoff.take_retry();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(probes == 1);
  CHECK(retries == static_cast<int>(S3Backoff::kBudget));
}

TEST_CASE("A refused signature is corrected by what the store's clock says, within a day") {
  const WallTime ours(1'700'000'000s);
  struct Case {
    std::chrono::seconds skew;
    bool corrected;
  };
  for (const Case one : {Case{0s, false}, Case{60s, false}, Case{61s, true}, Case{-16min, true},
                         Case{24h, true}, Case{24h + 1s, false}, Case{-30 * 365 * 24h, false}}) {
    INFO(one.skew.count());
    S3Clock clock;
    const auto skew = clock.correct(ours, ours + one.skew);
    CHECK(skew.has_value() == one.corrected);
    CHECK(clock.signing_time(ours) == ours + (one.corrected ? one.skew : 0s));
  }
}

TEST_CASE("A correction follows the store's clock and ends when ours is right again") {
  using Finding = S3Clock::Finding;
  const WallTime ours(1'700'000'000s);
  S3Clock clock;
  CHECK(clock.observe(ours, ours + 5min) == Finding::fine);
  CHECK(clock.observe(ours, ours + 5min + 1s) == Finding::far);
  CHECK(clock.offset() == 0s);
  REQUIRE(clock.correct(ours, ours - 1h));
  CHECK(clock.observe(ours, ours - 50min) == Finding::fine);
  CHECK(clock.offset() == -50min);
  CHECK(clock.observe(ours, ours - 30 * 24h) == Finding::fine);  // not believed
  CHECK(clock.offset() == -50min);
  CHECK(clock.observe(ours, ours + 3s) == Finding::right);
  CHECK(clock.offset() == 0s);
  CHECK(clock.observe(ours, ours + 3s) == Finding::fine);
}

TEST_CASE("A skew is told in words") {
  CHECK(describe_skew(0s) == "0s behind the store's");
  CHECK(describe_skew(1000s) == "16m40s behind the store's");
  CHECK(describe_skew(-3601s) == "1h0m1s ahead of the store's");
}
