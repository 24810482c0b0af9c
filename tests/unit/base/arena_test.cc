#include "base/arena.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <string>

#include "base/free_list.h"

using namespace vignette;

TEST_CASE("copies in an arena keep their bytes until the reset") {
  Arena arena(1 << 20);
  std::vector<std::string_view> views;
  for (int i = 0; i < 2000; ++i) views.push_back(*arena.copy("item " + std::to_string(i)));
  for (int i = 0; i < 2000; ++i) CHECK(views[static_cast<std::size_t>(i)] == "item " + std::to_string(i));
}

TEST_CASE("an arena holds nothing before use and one chunk after a reset") {
  Arena arena(1 << 20);
  CHECK(arena.capacity() == 0);
  REQUIRE(arena.copy(std::string(100, 'x')));
  REQUIRE(arena.copy(std::string(10'000, 'x')));
  CHECK(arena.used() == 10'100);
  arena.reset();
  CHECK(arena.used() == 0);
  CHECK(arena.capacity() == Arena::kChunkBytes);
  arena.release();
  CHECK(arena.capacity() == 0);
}

TEST_CASE("a first chunk that is large is not kept") {
  Arena arena(1 << 20);
  REQUIRE(arena.copy(std::string(100'000, 'x')));
  arena.reset();
  CHECK(arena.capacity() == 0);
}

TEST_CASE("an arena ends at its cap and works again after a reset") {
  Arena arena(100);
  CHECK(arena.copy(std::string(100, 'a')));
  CHECK(arena.used() == 100);
  CHECK_FALSE(arena.copy("b"));
  CHECK(arena.allocate(1) == nullptr);
  CHECK(arena.copy(""));
  arena.reset();
  CHECK_FALSE(arena.copy(std::string(101, 'a')));
  CHECK(arena.copy("b") == "b");
  CHECK(arena.allocate(~std::size_t{0}) == nullptr);
}

TEST_CASE("an arena aligns") {
  Arena arena(1 << 16);
  for (std::size_t alignment : {1u, 2u, 8u, 16u, 1u, 16u}) {
    char* bytes = arena.allocate(3, alignment);
    REQUIRE(bytes != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(bytes) % alignment == 0);
  }
}

TEST_CASE("an arena joins parts") {
  Arena arena(1000);
  std::string_view parts[] = {"https", "://", "", "example.com"};
  CHECK(arena.concat(parts) == "https://example.com");
}

TEST_CASE("a free list gives back what it got, up to its limit") {
  FreeList<std::string> list(1);
  auto first = list.take();
  first->reserve(500);
  const std::string* address = first.get();
  list.give(std::move(first));
  list.give(std::make_unique<std::string>("too many"));
  list.give(nullptr);
  CHECK(list.idle() == 1);
  auto again = list.take();
  CHECK(again.get() == address);
  CHECK(again->capacity() >= 500);
  CHECK(list.take()->empty());
}
