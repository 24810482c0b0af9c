// Limits that all workers share: exact at the limit, also when many threads want the last place, and never
// larger than the table they were given.
#include <catch2/catch.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include "proxy/policy/client_limits.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace std::chrono_literals;

namespace {

constexpr int kThreads = 8;

template <typename Work>
void on_all_threads(Work work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back([&work, i] { work(i); });
  for (std::thread& thread : threads) thread.join();
}

void raise_to(std::atomic<int>& peak, int value) {
  int seen = peak.load();
  while (value > seen && !peak.compare_exchange_weak(seen, value)) {
  }
}

std::uint64_t client(const char* address) { return client_of(*conf::parse_ip(address)); }

// As many as the bucket gives at that time.
int taken(RateTable& table, std::uint64_t who, const conf::RateLimit& limit, TimePoint now) {
  int count = 0;
  while (!table.take(who, 0, limit, now)) ++count;
  return count;
}

constexpr TimePoint kStart{1'000s};

}  // namespace

TEST_CASE("An IPv6 client is its network of 64 bits, an IPv4 client its address") {
  CHECK(client("2001:db8:1:2::1") == client("2001:db8:1:2:ffff:ffff:ffff:ffff"));
  CHECK(client("2001:db8:1:2::1") != client("2001:db8:1:3::1"));
  CHECK(client("192.0.2.1") != client("192.0.2.2"));
  CHECK(client("192.0.2.1") != client("::1"));
  CHECK(client("::ffff:192.0.2.1") == client("192.0.2.1"));
}

TEST_CASE("A ceiling lets in as many as it says, and again when one has left") {
  Ceiling ceiling;
  CHECK(ceiling.enter(2));
  CHECK(ceiling.enter(2));
  CHECK_FALSE(ceiling.enter(2));
  ceiling.leave();
  CHECK(ceiling.enter(2));
  CHECK(ceiling.enter(0));  // no limit, and counted
  CHECK(ceiling.count() == 3);
  CHECK_FALSE(ceiling.enter(3));
  {
    Place place(ceiling, 4);
    CHECK(place);
    CHECK_FALSE(Place(ceiling, 4));
  }
  CHECK(ceiling.count() == 3);
}

TEST_CASE("A ceiling of clients counts each by itself and forgets those that have left") {
  ClientCeiling ceiling;
  CHECK(ceiling.enter(1, 2));
  CHECK(ceiling.enter(1, 2));
  CHECK_FALSE(ceiling.enter(1, 2));
  CHECK(ceiling.enter(2, 2));
  CHECK(ceiling.clients() == 2);
  ceiling.leave(1);
  CHECK(ceiling.enter(1, 2));
  for (int i = 0; i < 2; ++i) ceiling.leave(1);
  ceiling.leave(2);
  CHECK(ceiling.clients() == 0);
}

TEST_CASE("No number of threads gets past a ceiling, and nothing is left of it afterwards") {
  Ceiling ceiling;
  ClientCeiling clients;
  std::atomic<int> inside{0}, peak{0}, admitted{0};
  std::array<std::atomic<int>, 3> inside_of{}, peak_of{};
  on_all_threads([&](int thread) {
    for (int round = 0; round < 20'000; ++round) {
      if (Place place(ceiling, 3); place) {
        raise_to(peak, ++inside);
        ++admitted;
        --inside;
      }
      const auto who = static_cast<std::size_t>((thread + round) % 3);
      if (ClientPlace place(clients, who, 2); place) {
        raise_to(peak_of[who], ++inside_of[who]);
        --inside_of[who];
      }
    }
  });
  CHECK(peak <= 3);
  CHECK(admitted > 0);
  for (const auto& most : peak_of) CHECK(most <= 2);
  CHECK(ceiling.count() == 0);
  CHECK(clients.clients() == 0);
}

TEST_CASE("A bucket gives its burst at once and then its rate") {
  RateTable table;
  const conf::RateLimit limit{.requests = 10, .per = 1s, .burst = 20};
  CHECK(taken(table, 1, limit, kStart) == 20);
  CHECK(table.take(1, 0, limit, kStart) == Duration(100ms));
  CHECK(taken(table, 1, limit, kStart + 99ms) == 0);
  CHECK(taken(table, 1, limit, kStart + 100ms) == 1);
  CHECK(taken(table, 1, limit, kStart + 1s) == 9);
  CHECK(taken(table, 1, limit, kStart + 1h) == 20);
  // Without a burst of its own, the rate's.
  CHECK(taken(table, 2, {.requests = 5, .per = 1min, .burst = 0}, kStart) == 5);
  CHECK(table.take(2, 0, {.requests = 5, .per = 1min, .burst = 0}, kStart) == Duration(12s));
}

TEST_CASE("Buckets of other clients and other scopes are full") {
  RateTable table;
  const conf::RateLimit limit{.requests = 1, .per = 1s, .burst = 1};
  CHECK_FALSE(table.take(1, 0, limit, kStart));
  CHECK(table.take(1, 0, limit, kStart));
  CHECK_FALSE(table.take(2, 0, limit, kStart));
  CHECK_FALSE(table.take(1, 1, limit, kStart));
}

TEST_CASE("Clients whose buckets are full again make room for others without loss") {
  RateTable table;
  const conf::RateLimit limit{.requests = 1, .per = 1s, .burst = 2};
  // One that is over its rate, among four times as many as there is room for that have come and gone.
  for (std::uint64_t who = 1; who <= RateTable::kEntries * 4; ++who) table.take(who, 0, limit, kStart);
  CHECK(taken(table, 7'777'777, limit, kStart + 1s) == 2);
  for (std::uint64_t who = 1; who <= RateTable::kEntries / 16; ++who) table.take(who, 0, limit, kStart + 1s);
  CHECK(table.take(7'777'777, 0, limit, kStart + 1s));
}

TEST_CASE("Threads that drain one bucket together get exactly its burst") {
  RateTable table;
  const conf::RateLimit limit{.requests = 1'000, .per = 1h, .burst = 1'000};
  std::atomic<int> admitted{0};
  on_all_threads([&](int thread) {
    for (std::uint64_t i = 0; i < 500; ++i) {
      if (!table.take(1, 0, limit, kStart)) ++admitted;
      table.take(i + 2, static_cast<std::uint64_t>(thread), limit, kStart);
    }
  });
  CHECK(admitted == 1'000);
}
