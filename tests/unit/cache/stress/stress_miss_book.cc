// Threads note departures of keys that share places while others ask: what is said of a key was noted of that
// key, whoever wrote at the same time. Run it under tsan and asan.
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "cache/insight/miss_book.h"

using namespace vignette;
using namespace vignette::cache;
using std::chrono::seconds;

namespace {

constexpr int kWriters = 4;
constexpr int kRounds = 20'000;
constexpr std::uint64_t kPlacesUsed = 4;
constexpr std::uint64_t kKeysAPlace = 3;

// Of place p and number n; all numbers of a place fall on it.
Key key_of(std::uint64_t place, std::uint64_t number) {
  return {.hi = place + number * MissBook::kPlaces, .lo = hash_key(std::to_string(number)).lo};
}

// Says of which key it is.
Departure departure_of(std::uint64_t place, std::uint64_t number, int round) {
  return {.cause = Departed::not_stored,
          .was_stale = round % 2 == 1,
          .reason = static_cast<Reason>(1 + number),
          .at = WallTime(seconds(1'700'000'000 + static_cast<std::int64_t>(place) + 1000 * (round % 100)))};
}

bool is_of(const Departure& departure, std::uint64_t place, std::uint64_t number) {
  return departure.reason == static_cast<Reason>(1 + number) &&
         departure.at.time_since_epoch().count() % 1000 == static_cast<std::int64_t>(place);
}

}  // namespace

TEST_CASE("notes of several threads are never mixed") {
  ManualClock clock;
  MissBook book(clock);
  std::atomic<int> writing{kWriters};
  std::atomic<int> wrong{0}, found{0};
  std::vector<std::jthread> threads;
  for (int writer = 0; writer < kWriters; ++writer) {
    threads.emplace_back([&, writer] {
      for (int round = 0; round < kRounds; ++round) {
        const auto mixed = static_cast<std::uint64_t>(round * 7 + writer);
        const std::uint64_t place = mixed % kPlacesUsed;
        const std::uint64_t number = mixed / kPlacesUsed % kKeysAPlace;
        book.note(key_of(place, number), departure_of(place, number, round));
      }
      --writing;
    });
  }
  threads.emplace_back([&] {
    while (writing > 0) {
      for (std::uint64_t place = 0; place < kPlacesUsed; ++place) {
        for (std::uint64_t number = 0; number < kKeysAPlace; ++number) {
          const Departure departure = book.last(key_of(place, number));
          if (departure.cause == Departed::unknown) continue;
          ++found;
          wrong += !is_of(departure, place, number);
        }
      }
    }
  });
  threads.clear();
  CHECK(wrong == 0);
  int remembered = 0;
  for (std::uint64_t place = 0; place < kPlacesUsed; ++place) {
    for (std::uint64_t number = 0; number < kKeysAPlace; ++number) {
      remembered += is_of(book.last(key_of(place, number)), place, number);
    }
  }
  CHECK(remembered <= static_cast<int>(kPlacesUsed));
}
