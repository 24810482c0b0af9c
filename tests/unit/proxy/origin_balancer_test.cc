#include "proxy/origin/balancer.h"

#include <catch2/catch.hpp>

using namespace vignette;
using namespace vignette::proxy;
using namespace std::chrono_literals;

namespace {

struct Group {
  explicit Group(std::vector<std::pair<std::uint32_t, bool>> shape) {
    clock.advance(1h);
    std::vector<Balancer::Member> members;
    for (auto [weight, backup] : shape) {
      states.push_back(registry.server("app", std::string(1, static_cast<char>('a' + states.size()))));
      members.push_back({states.back().get(), weight, backup});
    }
    balancer.emplace(std::move(members));
  }
  char choose(std::initializer_list<std::size_t> tried = {}) {
    auto choice = balancer->choose(clock.now(), tried);
    if (!choice) return '-';
    panic = choice->panic;
    again = choice->again;
    return static_cast<char>('a' + choice->index);
  }
  std::string choose_many(int count) {
    std::string order;
    for (int i = 0; i < count; ++i) order += choose();
    return order;
  }
  void down(std::size_t index) { states[index]->set_active(ActiveHealth::down); }
  void refuse(std::size_t index) {
    states[index]->connect_failed({Code::refused, Blame::origin, Retry::yes, 0, "connect"}, clock.now());
  }

  ManualClock clock;
  Metrics metrics{1};
  ServerRegistry registry{metrics, &clock};
  std::vector<std::shared_ptr<ServerState>> states;
  std::optional<Balancer> balancer;
  bool panic = false;
  bool again = false;
};

}  // namespace

TEST_CASE("Weights are served smoothly, in nginx's order") {
  Group group({{5, false}, {1, false}, {1, false}});
  CHECK(group.choose_many(14) == "aabacaaaabacaa");
}

TEST_CASE("Servers that are not up are passed over, and come back") {
  Group group({{1, false}, {1, false}, {1, false}});
  CHECK(group.choose_many(3) == "abc");
  group.down(1);
  std::string without = group.choose_many(4);
  CHECK(without.find('b') == std::string::npos);
  CHECK(std::ranges::count(without, 'a') == 2);
  group.states[1]->set_active(ActiveHealth::up);
  CHECK(group.choose_many(3).find('b') != std::string::npos);
}

TEST_CASE("Backup servers are used only when no primary is up, or when all primaries have been tried") {
  Group group({{1, false}, {1, false}, {1, true}});
  CHECK(group.choose_many(4) == "abab");
  CHECK(group.choose({0, 1}) == 'c');
  CHECK_FALSE(group.again);
  group.down(0);
  CHECK(group.choose_many(2) == "bb");
  group.down(1);
  CHECK(group.choose_many(2) == "cc");
}

TEST_CASE("With nobody up all are used but those that refused a connection in the last second") {
  Group group({{1, false}, {1, false}});
  group.down(0);
  group.down(1);
  CHECK(std::string("ab").find(group.choose()) != std::string::npos);
  CHECK(group.panic);
  group.refuse(0);
  CHECK(group.choose_many(3) == "bbb");
  group.refuse(1);
  auto none = group.balancer->choose(group.clock.now());
  REQUIRE_FALSE(none);
  CHECK(std::string(none.error()) == "no server is up");
  group.clock.advance(ServerState::kConnectPause);
  CHECK(group.choose() != '-');
}

TEST_CASE("A panic begins below 30 percent, not at it") {
  Group ten(std::vector<std::pair<std::uint32_t, bool>>(10, {1, false}));
  for (std::size_t i = 3; i < 10; ++i) ten.down(i);
  CHECK(ten.choose_many(3) == "abc");
  CHECK_FALSE(ten.panic);
  ten.down(2);
  std::string spread = ten.choose_many(10);
  CHECK(ten.panic);
  CHECK(spread.find('j') != std::string::npos);
}

TEST_CASE("What has been tried comes last") {
  Group group({{1, false}, {1, false}});
  CHECK(group.choose({0}) == 'b');
  CHECK_FALSE(group.again);
  CHECK(group.choose({0, 1}) != '-');
  CHECK(group.again);
  Group alone({{1, false}});
  CHECK(alone.choose({0}) == 'a');
  CHECK(alone.again);
}

TEST_CASE("Servers that wait for their first good probe get requests only when there are no others") {
  Group group({{1, false}, {1, false}});
  group.states[1]->set_active(ActiveHealth::probing);
  CHECK(group.choose_many(3) == "aaa");
  group.states[0]->set_active(ActiveHealth::probing);
  CHECK(group.choose() != '-');
  group.refuse(0);
  group.refuse(1);
  auto none = group.balancer->choose(group.clock.now());
  REQUIRE_FALSE(none);
  CHECK(std::string(none.error()) == "no server has passed its first health check");
}
