#include "net/worker.h"

#include <catch2/catch.hpp>

#include <stdexcept>
#include <thread>

#include "base/bounded_pool.h"
#include "loop.h"
#include "net/offload.h"
#include "net/signal.h"

using namespace vignette;
using namespace vignette::net;
using namespace vignette::net::test;

namespace {

Task<int> add(int a, int b) { co_return a + b; }
Task<int> deep(int depth) {
  if (depth == 0) co_return 0;
  auto below = co_await deep(depth - 1);
  co_return below + 1;
}
Task<int> thrower() {
  throw std::runtime_error("library");
  co_return 0;
}

}  // namespace

TEST_CASE("A task gives its result to the one that awaits it") {
  Worker worker;
  int sum = 0;
  worker.spawn(
      [](int& out) -> Task<> {
        auto result = co_await add(2, 3);
        out = result;
      },
      std::ref(sum));
  REQUIRE(run_to_end(worker));
  CHECK(sum == 5);
}

TEST_CASE("A hundred thousand nested tasks need no stack") {
  Worker worker;
  int depth = 0;
  worker.spawn(
      [](int& out) -> Task<> {
        auto result = co_await deep(100'000);
        out = result;
      },
      std::ref(depth));
  REQUIRE(run_to_end(worker));
  CHECK(depth == 100'000);
}

TEST_CASE("An exception crosses tasks, can be caught, and otherwise ends one strand and is counted") {
  std::string told;
  Worker worker(
      {.on_failure = [&](const char* name, const char* what) { told = std::string(name) + ": " + what; }});
  bool caught = false;
  worker.spawn(
      [](bool& out) -> Task<> {
        try {
          auto never = co_await thrower();
          (void)never;
        } catch (const std::runtime_error&) {
          out = true;
        }
      },
      std::ref(caught));
  worker.spawn_named("fragile", []() -> Task<> {
    auto never = co_await thrower();
    (void)never;
  });
  REQUIRE(run_to_end(worker));
  CHECK(caught);
  CHECK(worker.counters().failed == 1);
  CHECK(told == "fragile: library");
}

TEST_CASE("Spawn copies arguments even for a function that takes references") {
  Worker worker;
  std::string seen;
  {
    std::string passed = "a text too long for the small buffer of a string";
    worker.spawn(
        [](const std::string& text, std::string& out) -> Task<> {
          auto turn = co_await yield();
          (void)turn;
          out = text;
        },
        passed, std::ref(seen));
    passed = "overwritten";
  }
  REQUIRE(run_to_end(worker));
  CHECK(seen == "a text too long for the small buffer of a string");
}

TEST_CASE("Cancelling wakes a sleeper at once, sticks, and a dead handle does nothing") {
  Worker worker;
  std::vector<Code> codes;
  const StrandRef sleeper = worker.spawn(
      [](std::vector<Code>& out) -> Task<> {
        auto first = co_await sleep_for(1h);
        out.push_back(first ? Code::internal : first.error().code);
        auto second = co_await sleep_for(1h);
        out.push_back(second ? Code::internal : second.error().code);
      },
      std::ref(codes));
  worker.spawn(
      [](StrandRef target) -> Task<> {
        auto turn = co_await yield();
        (void)turn;
        target.cancel();
      },
      sleeper);
  REQUIRE(run_to_end(worker));
  CHECK(codes == std::vector{Code::cancelled, Code::cancelled});
  CHECK_FALSE(sleeper.alive());
  sleeper.cancel();
}

TEST_CASE("Sleeps follow the worker's clock, end in the order of their times and never early") {
  ManualClock clock;
  Worker worker({.clock = &clock});
  std::vector<int> order;
  for (int seconds : {3, 1, 100}) {
    worker.spawn(
        [](int span, std::vector<int>& out) -> Task<> {
          Worker& here = co_await this_worker();
          const TimePoint due = here.now() + std::chrono::seconds(span);
          auto slept = co_await sleep_until(due);
          VCHECK(slept && here.now() >= due);
          out.push_back(span);
          if (out.size() == 3) here.stop();
        },
        seconds, std::ref(order));
  }
  std::function<void()> tick = [&] {
    clock.advance(500ms);
    if (order.size() < 3) worker.post([&] { tick(); });
  };
  worker.post([&] { tick(); });
  worker.run();
  CHECK(order == std::vector{1, 3, 100});
  CHECK(worker.wall() > WallTime(std::chrono::seconds(1'700'000'000 + 90)));
}

TEST_CASE("The worst lag of the loop is the one since it was last taken") {
  ManualClock clock;
  Worker worker({.clock = &clock});
  std::vector<Duration> taken;
  worker.spawn(
      [](ManualClock& time, std::vector<Duration>& out) -> Task<> {
        Worker& here = co_await this_worker();
        for (const Duration busy : {30ms, 50ms, 20ms}) {
          time.advance(busy);
          auto next_turn = co_await yield();
          VCHECK(next_turn);
        }
        for (int i = 0; i < 2; ++i) out.push_back(here.take_worst_lag());
        here.stop();
      },
      std::ref(clock), std::ref(taken));
  worker.run();
  CHECK(taken == std::vector<Duration>{50ms, 0ms});
}

TEST_CASE("The wheel keeps a deadline that moves later in place, and honours one that moves earlier") {
  ManualClock clock;
  Worker worker({.clock = &clock});
  TimerWheel wheel(clock.now());
  Strand late;
  Strand early;
  CHECK(wheel.arm(late, clock.now() + 5s, clock.now()));
  CHECK_FALSE(wheel.arm(late, clock.now() + 60s, clock.now()));
  CHECK_FALSE(wheel.arm(early, clock.now() + 7s, clock.now()));
  CHECK(wheel.arm(early, clock.now() + 1s, clock.now()));
  std::vector<Strand*> fired;
  const auto note = [&](Strand& strand) { fired.push_back(&strand); };
  clock.advance(990ms);
  wheel.advance(clock.now(), note);
  CHECK(fired.empty());
  clock.advance(20ms);
  wheel.advance(clock.now(), note);
  CHECK(fired == std::vector{&early});
  clock.advance(58s);
  wheel.advance(clock.now(), note);
  CHECK(fired.size() == 1);
  clock.advance(2s);
  wheel.advance(clock.now(), note);
  CHECK(fired == std::vector{&early, &late});
  CHECK(wheel.next() == kNoDeadline);
}

TEST_CASE("Posts from other threads run in order on the loop, and after the stop they are destroyed unrun") {
  Worker worker;
  std::vector<int> seen;
  std::jthread poster([&] {
    for (int i = 0; i < 1000; ++i) worker.post([&, i] { seen.push_back(i); });
    worker.post([&] { worker.stop(); });
  });
  worker.run();
  poster.join();
  REQUIRE(seen.size() == 1000);
  CHECK(std::is_sorted(seen.begin(), seen.end()));
  auto witness = std::make_shared<int>(1);
  bool ran = false;
  worker.post([&ran, witness] { ran = true; });
  CHECK(witness.use_count() == 1);
  CHECK_FALSE(ran);
}

TEST_CASE("A strand that never suspends by itself leaves the others their turn") {
  Worker worker;
  bool stop = false;
  std::uint64_t spins = 0;
  worker.spawn(
      [](bool& done, std::uint64_t& count) -> Task<> {
        while (!done) {
          auto slept = co_await sleep_for(0s);
          (void)slept;
          ++count;
        }
      },
      std::ref(stop), std::ref(spins));
  worker.spawn(
      [](bool& done) -> Task<> {
        auto slept = co_await sleep_for(20ms);
        (void)slept;
        done = true;
      },
      std::ref(stop));
  REQUIRE(run_to_end(worker));
  CHECK(spins > 32);
}

TEST_CASE("A signal wakes one or all, in the order of waiting, times out, and its end wakes with cancelled") {
  Worker worker;
  auto signal = std::make_unique<Signal>();
  std::vector<std::string> log;
  for (int i = 0; i < 4; ++i) {
    worker.spawn(
        [](int id, Signal& on, std::vector<std::string>& out) -> Task<> {
          Worker& here = co_await this_worker();
          auto woken = co_await on.wait(id == 0 ? here.now() + 5ms : kNoDeadline);
          out.push_back(std::to_string(id) +
                        (woken ? " ok" : " " + std::string(to_string(woken.error().code))));
        },
        i, std::ref(*signal), std::ref(log));
  }
  worker.spawn(
      [](std::unique_ptr<Signal>& on, std::vector<std::string>& out) -> Task<> {
        auto slept = co_await sleep_for(50ms);
        (void)slept;
        VCHECK(on->notify_one());
        VCHECK(out.size() == 1);  // nobody runs inside notify
        auto turn = co_await yield();
        (void)turn;
        on.reset();
      },
      std::ref(signal), std::ref(log));
  REQUIRE(run_to_end(worker));
  CHECK(log == std::vector<std::string>{"0 timeout", "1 ok", "2 cancelled", "3 cancelled"});
}

TEST_CASE("Two strands that wake each other for ever do not keep the loop from the others") {
  Worker worker;
  Signal ping;
  Signal pong;
  bool stop = false;
  const auto player = [](Signal& mine, Signal& other, bool& done) -> Task<> {
    while (!done) {
      other.notify_all();
      auto woken = co_await mine.wait();
      if (!woken) break;
    }
    other.notify_all();
  };
  worker.spawn(player, std::ref(ping), std::ref(pong), std::ref(stop));
  worker.spawn(player, std::ref(pong), std::ref(ping), std::ref(stop));
  worker.spawn(
      [](bool& done) -> Task<> {
        auto slept = co_await sleep_for(20ms);
        (void)slept;
        done = true;
      },
      std::ref(stop));
  REQUIRE(run_to_end(worker));
}

TEST_CASE(
    "Stopping cancels every strand, also one spawned meanwhile, and abandons the stubborn after the grace") {
  ManualClock clock;
  Worker worker({.clock = &clock, .stop_grace = 1s});
  struct Witness {
    int* count;
    explicit Witness(int* c) : count(c) {}
    Witness(Witness&& other) noexcept : count(std::exchange(other.count, nullptr)) {}
    ~Witness() {
      if (count) ++*count;
    }
  };
  int destroyed = 0;
  bool late_was_cancelled = false;
  worker.spawn(
      [](Witness, Worker& here, bool& out) -> Task<> {
        auto slept = co_await sleep_for(1h);
        VCHECK(!slept);
        here.spawn(
            [](bool& seen) -> Task<> {
              Strand& self = co_await this_strand();
              seen = self.cancelled();
            },
            std::ref(out));
      },
      Witness(&destroyed), std::ref(worker), std::ref(late_was_cancelled));
  worker.spawn_named(
      "stubborn",
      [](Witness, ManualClock& time) -> Task<> {
        while (true) {
          auto turn = co_await yield();
          if (!turn) time.advance(100ms);
        }
      },
      Witness(&destroyed), std::ref(clock));
  worker.post([&] { worker.stop(); });
  worker.run();
  CHECK(late_was_cancelled);
  CHECK(destroyed == 2);
  CHECK(worker.strands() == 0);
  CHECK(worker.counters().abandoned == 1);
  CHECK(worker.counters().spawned == worker.counters().finished);
}

TEST_CASE("The list of strands says what each waits for, and where") {
  Worker worker;
  std::vector<StrandInfo> infos;
  worker.spawn_named("sleeper", []() -> Task<> {
    auto slept = co_await sleep_for(50ms);
    (void)slept;
  });
  worker.spawn_named(
      "lister",
      [](std::vector<StrandInfo>& out) -> Task<> {
        auto slept = co_await sleep_for(5ms);
        (void)slept;
        Worker& here = co_await this_worker();
        out = here.dump_strands();
      },
      std::ref(infos));
  REQUIRE(run_to_end(worker));
  const auto sleeper = std::find_if(infos.begin(), infos.end(),
                                    [](const auto& info) { return info.name == std::string("sleeper"); });
  REQUIRE(sleeper != infos.end());
  CHECK(sleeper->waits_on == std::string("sleep"));
  REQUIRE(sleeper->stack.size() == 1);
  CHECK(sleeper->stack[0].find("worker_test.cc") != std::string::npos);
}

TEST_CASE("Offloaded work comes back to the worker, and a cancelled strand does not wait for it") {
  Worker worker;
  BoundedPool pool("test", 1, 1);
  std::atomic<bool> release = false;
  std::vector<std::string> log;
  const StrandRef blocked = worker.spawn(
      [](BoundedPool& on, std::atomic<bool>& go, std::vector<std::string>& out) -> Task<> {
        auto result = co_await offload(on, [&go] {
          go.wait(false);
          return std::string("dropped");
        });
        out.push_back(std::string(to_string(result.error().code)));
      },
      std::ref(pool), std::ref(release), std::ref(log));
  worker.spawn(
      [](BoundedPool& on, std::atomic<bool>& go, StrandRef other, std::vector<std::string>& out) -> Task<> {
        auto turn = co_await yield();
        (void)turn;
        other.cancel();
        go = true;
        go.notify_all();
        auto ran = co_await sleep_for(10ms);
        (void)ran;
        auto answer = co_await offload(on, [] { return 42; });
        out.push_back(std::to_string(answer.value_or(0)));
        auto thrown = co_await offload(on, []() -> int { throw std::runtime_error("x"); });
        out.push_back(std::string(to_string(thrown.error().code)));
        auto failed =
            co_await offload(on, []() -> Result<int> { return fail(Code::not_found, Blame::internal, "x"); });
        out.push_back(std::string(to_string(failed.error().code)));
      },
      std::ref(pool), std::ref(release), blocked, std::ref(log));
  REQUIRE(run_to_end(worker));
  CHECK(log == std::vector<std::string>{"cancelled", "42", "internal", "not_found"});
}

TEST_CASE("Offloading answers when the pool is full or ends first") {
  Worker worker;
  struct Full {
    bool try_submit(std::move_only_function<void()>) { return false; }
  } nothing;
  Code refused{};
  worker.spawn(
      [](Full& on, Code& out) -> Task<> {
        auto result = co_await offload(on, [] { return 1; });
        out = result.error().code;
      },
      std::ref(nothing), std::ref(refused));
  struct Dropping {
    std::move_only_function<void()> held;
    bool try_submit(std::move_only_function<void()> job) {
      held = std::move(job);
      return true;
    }
  } dropping;
  Code ended{};
  worker.spawn(
      [](Dropping& on, Code& out) -> Task<> {
        auto result = co_await offload(on, [] { return 1; });
        out = result.error().code;
      },
      std::ref(dropping), std::ref(ended));
  worker.spawn(
      [](Dropping& on) -> Task<> {
        auto turn = co_await yield();
        (void)turn;
        on.held = nullptr;
      },
      std::ref(dropping));
  REQUIRE(run_to_end(worker));
  CHECK(refused == Code::exhausted);
  CHECK(ended == Code::unavailable);
}
