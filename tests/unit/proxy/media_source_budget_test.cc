#include "proxy/media/source_budget.h"

#include <catch2/catch.hpp>
#include <optional>
#include <utility>

using vignette::proxy::SourceBudget;

TEST_CASE("A budget of originals is given out to its last byte, and not one further") {
  SourceBudget budget(100);
  const SourceBudget::Permit first = budget.take(60);
  REQUIRE(first);
  CHECK_FALSE(budget.take(41));
  SourceBudget::Permit second = budget.take(40);
  REQUIRE(second);
  CHECK(budget.held_bytes() == 100);
  CHECK_FALSE(budget.take(1));
  second.shrink_to(10);
  CHECK(budget.held_bytes() == 70);
  CHECK(budget.take(30));
  CHECK(budget.held_bytes() == 70);
}

TEST_CASE("A permit gives its share back once, however often it moves, also after the budget has gone") {
  std::optional<SourceBudget> budget(std::in_place, 100);
  SourceBudget::Permit held = budget->take(50);
  SourceBudget::Permit moved = std::move(held);
  moved = budget->take(20);
  CHECK(budget->held_bytes() == 20);
  budget.reset();
  moved.shrink_to(5);
}

TEST_CASE("An original larger than the budget has its turn when it is alone") {
  SourceBudget budget(100);
  SourceBudget::Permit alone = budget.take(500);
  REQUIRE(alone);
  CHECK_FALSE(budget.take(1));
  alone = {};
  const SourceBudget::Permit small = budget.take(1);
  CHECK(small);
  CHECK_FALSE(budget.take(500));
}
