#include "base/bounded_pool.h"

#include <pthread.h>
#include <signal.h>

#include <catch2/catch.hpp>
#include <future>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace vignette;

namespace {

// Occupies a pool's only thread until released.
struct Blocker {
  std::promise<void> started;
  std::promise<void> release;
  void occupy(TaskPool& pool) {
    auto may_end = release.get_future();
    REQUIRE(pool.try_submit([this, may_end = std::move(may_end)] {
      started.set_value();
      may_end.wait();
    }));
    started.get_future().wait();
  }
};

}  // namespace

TEST_CASE("a pool runs what it accepted") {
  std::atomic<int> ran{0};
  std::latch all(100);
  BoundedPool pool("t", 2, 100);
  for (int i = 0; i < 100; ++i) {
    REQUIRE(pool.try_submit([&] {
      ++ran;
      all.count_down();
    }));
  }
  all.wait();
  CHECK(ran == 100);
  CHECK(pool.refused() == 0);
}

TEST_CASE("a full queue refuses and counts, and takes tasks again when there is room") {
  BoundedPool pool("t", 1, 2);
  Blocker blocker;
  blocker.occupy(pool);
  std::latch ran(2);
  CHECK(pool.try_submit([&] { ran.count_down(); }));
  CHECK(pool.try_submit([&] { ran.count_down(); }));
  CHECK(pool.queued() == 2);
  CHECK_FALSE(pool.try_submit([] { FAIL("refused tasks do not run"); }));
  CHECK(pool.refused() == 1);
  blocker.release.set_value();
  ran.wait();
  std::promise<void> again;
  CHECK(pool.try_submit([&] { again.set_value(); }));
  again.get_future().wait();
}

TEST_CASE("the end of a pool finishes the running task and destroys the queued ones") {
  auto token = std::make_shared<int>(0);
  std::atomic<bool> finished{false};
  std::atomic<bool> queued_ran{false};
  std::promise<void> started;
  std::promise<void> release;
  auto may_end = release.get_future();
  std::thread releaser;
  {
    BoundedPool pool("t", 1, 10);
    REQUIRE(pool.try_submit([&] {
      started.set_value();
      may_end.wait();
      finished = true;
    }));
    started.get_future().wait();
    for (int i = 0; i < 5; ++i) REQUIRE(pool.try_submit([&queued_ran, token] { queued_ran = true; }));
    CHECK(token.use_count() == 6);
    // Released only once the destructor has emptied the queue.
    releaser = std::thread([&] {
      while (token.use_count() > 1) std::this_thread::yield();
      release.set_value();
    });
  }
  releaser.join();
  CHECK(finished);
  CHECK_FALSE(queued_ran);
}

TEST_CASE("a task that throws is counted and the thread goes on") {
  BoundedPool pool("t", 1, 10);
  std::promise<void> after;
  REQUIRE(pool.try_submit([] { throw std::runtime_error("broken"); }));
  REQUIRE(pool.try_submit([&] { after.set_value(); }));
  after.get_future().wait();
  CHECK(pool.failed() == 1);
}

TEST_CASE("pool threads are named and leave signals to the main thread") {
  BoundedPool pool("disk", 1, 1);
  std::promise<std::string> name;
  std::promise<bool> masked;
  REQUIRE(pool.try_submit([&] {
    char text[16];
    pthread_getname_np(pthread_self(), text, sizeof(text));
    sigset_t set;
    pthread_sigmask(SIG_BLOCK, nullptr, &set);
    masked.set_value(sigismember(&set, SIGTERM) == 1 && sigismember(&set, SIGHUP) == 1);
    name.set_value(text);
  }));
  CHECK(name.get_future().get() == "disk/0");
  CHECK(masked.get_future().get());
  sigset_t own;
  pthread_sigmask(SIG_BLOCK, nullptr, &own);
  CHECK(sigismember(&own, SIGTERM) == 0);
}

TEST_CASE("many threads submit to a small pool and nothing is lost") {
  std::atomic<int> accepted{0};
  std::atomic<int> ended{0};
  {
    BoundedPool pool("t", 2, 8);
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 500; ++i) {
          auto on_end = std::shared_ptr<void>(nullptr, [&ended](void*) { ++ended; });
          if (pool.try_submit([on_end] {})) ++accepted;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(accepted.load() + static_cast<int>(pool.refused()) == 1500);
  }
  CHECK(ended == 1500);
}

TEST_CASE("a stepped pool runs one task at a time, oldest first") {
  SteppedPool pool(2);
  std::string order;
  CHECK_FALSE(pool.run_one());
  REQUIRE(pool.try_submit([&] { order += 'a'; }));
  REQUIRE(pool.try_submit([&] {
    order += 'b';
    CHECK(pool.try_submit([&] { order += 'c'; }));
  }));
  CHECK_FALSE(pool.try_submit([&] { order += 'x'; }));
  CHECK(pool.refused() == 1);
  CHECK(order.empty());
  CHECK(pool.run_one());
  CHECK(order == "a");
  CHECK(pool.run_all() == 2);
  CHECK(order == "abc");
  CHECK(pool.queued() == 0);
}
