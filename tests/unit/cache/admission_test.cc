#include "cache/disk/admission.h"

#include <catch2/catch.hpp>

using namespace vignette;
using namespace vignette::cache;
using std::chrono::hours;
using std::chrono::minutes;

namespace {

constexpr std::uint64_t kObjects = 1000;
constexpr std::uint64_t kPerDay = 24'000'000;  // a burst is 1,000,000
const TimePoint kStart = TimePoint(hours(1000));

std::uint64_t mixed(std::uint64_t i) { return (i + 1) * 0x9e3779b97f4a7c15u; }

Admission first_time(AdmissionPolicy& policy, std::uint64_t i) {
  return policy.judge({.hash = mixed(i), .bytes = 1000}, false, kObjects, kStart);
}

Admission original(AdmissionPolicy& policy, std::uint64_t bytes, TimePoint now) {
  return policy.judge({.hash = 1, .bytes = bytes, .asked_again = true}, false, kObjects, now);
}

Admission resize(AdmissionPolicy& policy, std::uint64_t bytes, TimePoint now) {
  return policy.judge({.hash = 1, .bytes = bytes, .asked_again = true, .is_derived = true}, false, kObjects,
                      now);
}

}  // namespace

TEST_CASE("a disk with unused space takes everything at once") {
  AdmissionPolicy policy({});
  for (std::uint64_t i = 0; i < 100; ++i) {
    CHECK(policy.judge({.hash = mixed(i), .bytes = 1000}, true, 0, kStart) == Admission::admitted);
  }
}

TEST_CASE("a full disk takes what is filled for the second time") {
  AdmissionPolicy policy({});
  CHECK(first_time(policy, 7) == Admission::once);
  CHECK(first_time(policy, 8) == Admission::once);
  CHECK(first_time(policy, 7) == Admission::admitted);
  CHECK(first_time(policy, 7) == Admission::once);  // it was forgotten when it was admitted
}

TEST_CASE("a full disk takes what is asked for again in memory") {
  AdmissionPolicy policy({});
  CHECK(first_time(policy, 7) == Admission::once);
  CHECK(policy.judge({.hash = mixed(7), .bytes = 1000, .asked_again = true}, false, kObjects, kStart) ==
        Admission::admitted);
  CHECK(first_time(policy, 7) == Admission::once);
}

TEST_CASE("first fills are remembered as far back as the disk holds objects, and no further than the limit") {
  AdmissionPolicy policy({});
  for (std::uint64_t i = 0; i < 2 * kObjects; ++i) first_time(policy, i);
  CHECK(first_time(policy, 2 * kObjects - 10) == Admission::admitted);
  CHECK(first_time(policy, 10) == Admission::once);
  AdmissionPolicy vast({});
  vast.judge({.hash = 1, .bytes = 1}, false, AdmissionPolicy::kMaxRemembered * 1000, kStart);
  CHECK(vast.footprint() <= AdmissionPolicy::kMaxRemembered * 24);
}

TEST_CASE("a daily budget of writes lets a burst through and then its rate") {
  AdmissionPolicy policy({.write_bytes_per_day = kPerDay});
  for (int i = 0; i < 10; ++i) CHECK(original(policy, 100'000, kStart) == Admission::admitted);
  CHECK(original(policy, 100'000, kStart) == Admission::over_budget);
  CHECK(original(policy, 100'000, kStart + minutes(5)) == Admission::over_budget);
  CHECK(original(policy, 100'000, kStart + minutes(6)) == Admission::admitted);
  CHECK(original(policy, 100'000, kStart + minutes(6)) == Admission::over_budget);
  int admitted = 0;  // a day of demand without end
  for (int minute = 0; minute < 24 * 60; ++minute) {
    for (int i = 0; i < 5; ++i) {
      admitted += original(policy, 100'000, kStart + minutes(10 + minute)) == Admission::admitted;
    }
  }
  CHECK(admitted >= 238);
  CHECK(admitted <= 241);
}

TEST_CASE("an idle week saves up no more than one burst") {
  AdmissionPolicy policy({.write_bytes_per_day = kPerDay});
  int admitted = 0;
  for (int i = 0; i < 100; ++i) {
    admitted += original(policy, 100'000, kStart + hours(24 * 7)) == Admission::admitted;
  }
  CHECK(admitted == 10);
}

TEST_CASE("resizes leave half of the budget to originals") {
  AdmissionPolicy policy({.write_bytes_per_day = kPerDay});
  int resizes = 0;
  for (int i = 0; i < 10; ++i) resizes += resize(policy, 100'000, kStart) == Admission::admitted;
  CHECK(resizes == 5);
  for (int i = 0; i < 5; ++i) CHECK(original(policy, 100'000, kStart) == Admission::admitted);
  CHECK(original(policy, 100'000, kStart) == Admission::over_budget);
}

TEST_CASE("an object larger than a burst goes when the budget is full") {
  AdmissionPolicy policy({.write_bytes_per_day = kPerDay});
  CHECK(original(policy, 5'000'000, kStart) == Admission::admitted);
  CHECK(original(policy, 2, kStart) == Admission::over_budget);
  CHECK(original(policy, 5'000'000, kStart + minutes(59)) == Admission::over_budget);
  CHECK(original(policy, 5'000'000, kStart + minutes(60)) == Admission::admitted);
}

TEST_CASE("what the budget refused is known when it is filled again") {
  AdmissionPolicy policy({.write_bytes_per_day = kPerDay});
  CHECK(original(policy, 1'000'000, kStart) == Admission::admitted);
  CHECK(policy.judge({.hash = mixed(5), .bytes = 1000, .asked_again = true}, false, kObjects, kStart) ==
        Admission::over_budget);
  CHECK(policy.judge({.hash = mixed(5), .bytes = 1000}, false, kObjects, kStart + hours(1)) ==
        Admission::admitted);
}
