#include "base/bytes.h"

#include <fcntl.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"

using namespace vignette;

namespace {
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }
UniqueFd open_null() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }
}  // namespace

TEST_CASE("a slice keeps its block alive") {
  Slice part;
  {
    Slice whole = Slice::copy("0123456789");
    part = whole.sub(2, 5).sub(1, 3);
    CHECK_FALSE(whole.block().unique());
  }
  CHECK(part.view() == "345");
  CHECK(part.block().unique());
}

TEST_CASE("empty slices are harmless") {
  CHECK(Slice().view().empty());
  CHECK(Slice::copy("").empty());
  CHECK(Slice().sub(0, 0).empty());
  CHECK(Slice::copy("abc").sub(3, 0).empty());
}

TEST_CASE("refs to one block may end on different threads") {
  Slice shared = Slice::copy(std::string(1000, 'x'));
  auto use = [](Slice copy) {
    for (int i = 0; i < 1000; ++i) {
      Slice own = copy.sub(1, 10);
      copy = copy.sub(0, copy.size());
    }
  };
  std::thread a(use, shared);
  std::thread b(use, shared);
  a.join();
  b.join();
  CHECK(shared.block().unique());
  CHECK(shared.view().size() == 1000);
}

TEST_CASE("a descriptor is closed by its one owner") {
  UniqueFd first = open_null();
  int number = first.get();
  REQUIRE(is_open(number));
  UniqueFd second = std::move(first);
  CHECK_FALSE(first);
  CHECK(second.get() == number);
  second.reset();
  CHECK_FALSE(is_open(number));
}

TEST_CASE("assigning over a descriptor closes it at once") {
  UniqueFd old = open_null();
  UniqueFd fresh = open_null();
  int old_number = old.get();
  old = std::move(fresh);
  CHECK_FALSE(is_open(old_number));
  CHECK_FALSE(fresh);
  CHECK(is_open(old.get()));
  UniqueFd& same = old;
  old = std::move(same);
  CHECK(is_open(old.get()));
}

TEST_CASE("a manual clock moves both times together") {
  ManualClock clock;
  TimePoint start = clock.now();
  WallTime wall = clock.wall();
  clock.advance(std::chrono::milliseconds(1500));
  CHECK(clock.now() - start == std::chrono::milliseconds(1500));
  CHECK(clock.wall() - wall == std::chrono::seconds(1));
}

TEST_CASE("an error is explained by the system where a call failed, else by its code") {
  CHECK(explain({.code = Code::io, .sys_errno = ENOSPC}) == "No space left on device");
  CHECK(explain({.code = Code::timeout}) == "timeout");
}
