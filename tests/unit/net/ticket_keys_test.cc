#include "net/ticket_keys.h"

#include <catch2/catch.hpp>

#include <string>

namespace vignette::net {
namespace {

using namespace std::chrono_literals;

std::string counted(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i);
  return bytes;
}

TEST_CASE("A ticket key is read in nginx's two forms, and in no other size") {
  const auto small = TicketKey::parse(counted(48));
  REQUIRE(small);
  CHECK(small->secret_bytes == 16);
  CHECK(small->name[15] == 15);
  CHECK(small->aes[0] == 16);
  CHECK(small->hmac[0] == 32);
  const auto large = TicketKey::parse(counted(80));
  REQUIRE(large);
  CHECK(large->secret_bytes == 32);
  CHECK(large->hmac[0] == 16);
  CHECK(large->aes[0] == 48);
  for (const std::size_t size : {0u, 16u, 47u, 49u, 79u, 81u}) CHECK_FALSE(TicketKey::parse(counted(size)));
}

TEST_CASE("A random key encrypts for one interval, is accepted for another, and then forgotten") {
  ManualClock clock;
  TicketKeys keys(clock, 6h);
  const TicketKey first = keys.current();
  clock.advance(6h - 1s);
  CHECK(keys.current().name == first.name);
  clock.advance(1s);
  const TicketKey second = keys.current();
  CHECK(second.name != first.name);
  auto found = keys.find(first.name);
  REQUIRE(found);
  CHECK_FALSE(found->is_current);
  CHECK(found->key.aes == first.aes);
  REQUIRE(keys.find(second.name));
  CHECK(keys.find(second.name)->is_current);
  clock.advance(6h);
  CHECK_FALSE(keys.find(first.name));
  REQUIRE(keys.find(second.name));
  CHECK_FALSE(keys.find(second.name)->is_current);
}

TEST_CASE("Keys of an idle node are as old as they would be on a busy one") {
  ManualClock clock;
  TicketKeys keys(clock, 1h);
  const TicketKey first = keys.current();
  clock.advance(2h);
  CHECK_FALSE(keys.find(first.name));
  const TicketKey second = keys.current();
  clock.advance(59min);
  CHECK(keys.current().name == second.name);  // intervals are counted from the start
  clock.advance(1min);
  CHECK(keys.current().name != second.name);
}

TEST_CASE("Given keys stay until others are given, and random ones begin afresh after them") {
  ManualClock clock;
  TicketKeys keys(clock, 1h);
  const TicketKey own = keys.current();
  keys.use({*TicketKey::parse(counted(80)), *TicketKey::parse(counted(48).replace(0, 1, "x"))});
  CHECK_FALSE(keys.find(own.name));
  clock.advance(100h);
  CHECK(keys.current().name == TicketKey::parse(counted(80))->name);
  const auto second = TicketKey::parse(counted(48).replace(0, 1, "x"));
  REQUIRE(keys.find(second->name));
  CHECK_FALSE(keys.find(second->name)->is_current);
  keys.use_random(1h);
  CHECK_FALSE(keys.find(second->name));
  const TicketKey fresh = keys.current();
  keys.use_random(2h);  // a reload that changes nothing but the interval
  CHECK(keys.current().name == fresh.name);
  clock.advance(1h);
  CHECK(keys.current().name == fresh.name);
}

}  // namespace
}  // namespace vignette::net
