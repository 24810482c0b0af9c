#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "proxy/policy/address_rules.h"
#include "proxy/policy/client_address.h"

using namespace vignette;
using namespace vignette::proxy;

namespace {

conf::IpBytes ip(std::string_view text) {
  auto parsed = conf::parse_ip(text);
  REQUIRE(parsed);
  return *parsed;
}

std::vector<conf::IpPrefix> networks(const std::vector<std::string>& texts) {
  std::vector<conf::IpPrefix> result;
  for (const std::string& text : texts) {
    auto prefix = conf::IpPrefix::parse(text);
    REQUIRE(prefix);
    result.push_back(*prefix);
  }
  return result;
}

// The client as seen from `peer`, with these X-Forwarded-For lines.
std::string client_of(std::string_view peer, const std::vector<std::string>& lines,
                      const std::vector<std::string>& trusted) {
  http::FieldList fields;
  fields.add(http::FieldId::user_agent, "1.2.3.4");
  for (const std::string& line : lines) fields.add(http::FieldId::x_forwarded_for, line);
  return ip_to_string(client_address(ip(peer), fields, networks(trusted)));
}

}  // namespace

TEST_CASE("Without trusted hops the peer is the client, whatever it claims") {
  CHECK(client_of("203.0.113.9", {"198.51.100.1"}, {}) == "203.0.113.9");
  CHECK(client_of("203.0.113.9", {"198.51.100.1"}, {"10.0.0.0/8"}) == "203.0.113.9");
  CHECK(client_of("203.0.113.9", {}, {"203.0.113.9"}) == "203.0.113.9");
}

TEST_CASE("A trusted peer's X-Forwarded-For names the client") {
  CHECK(client_of("10.0.0.1", {"198.51.100.1"}, {"10.0.0.0/8"}) == "198.51.100.1");
  CHECK(client_of("10.0.0.1", {"2001:db8::7"}, {"10.0.0.0/8"}) == "2001:db8::7");
}

TEST_CASE("The chain is walked from its right end and stops at the first hop that is not trusted") {
  CHECK(client_of("10.0.0.1", {"6.6.6.6, 198.51.100.1, 10.0.0.2"}, {"10.0.0.0/8"}) == "198.51.100.1");
  CHECK(client_of("10.0.0.1", {"6.6.6.6, 198.51.100.1"}, {"10.0.0.0/8"}) == "198.51.100.1");
}

TEST_CASE("Several X-Forwarded-For lines are one list, in their order") {
  CHECK(client_of("10.0.0.1", {"6.6.6.6, 198.51.100.1", "10.0.0.3, 10.0.0.2"}, {"10.0.0.0/8"}) ==
        "198.51.100.1");
  CHECK(client_of("10.0.0.1", {"198.51.100.1", "10.0.0.2"}, {"10.0.0.0/8"}) == "198.51.100.1");
}

TEST_CASE("A chain of nothing but trusted hops ends at its first entry") {
  CHECK(client_of("10.0.0.1", {"10.0.0.9, 10.0.0.2"}, {"10.0.0.0/8"}) == "10.0.0.9");
}

TEST_CASE("Ports and brackets around a hop's address are understood") {
  CHECK(client_of("10.0.0.1", {"198.51.100.1:4711"}, {"10.0.0.0/8"}) == "198.51.100.1");
  CHECK(client_of("10.0.0.1", {"[2001:db8::7]"}, {"10.0.0.0/8"}) == "2001:db8::7");
  CHECK(client_of("10.0.0.1", {"[2001:db8::7]:4711"}, {"10.0.0.0/8"}) == "2001:db8::7");
  CHECK(client_of("10.0.0.1", {"  198.51.100.1\t"}, {"10.0.0.0/8"}) == "198.51.100.1");
}

TEST_CASE("An entry that is not an address ends the walk at the last hop known") {
  CHECK(client_of("10.0.0.1", {"198.51.100.1, unknown, 10.0.0.2"}, {"10.0.0.0/8"}) == "10.0.0.2");
  CHECK(client_of("10.0.0.1", {"_hidden"}, {"10.0.0.0/8"}) == "10.0.0.1");
  CHECK(client_of("10.0.0.1", {""}, {"10.0.0.0/8"}) == "10.0.0.1");
  CHECK(client_of("10.0.0.1", {"198.51.100.1,"}, {"10.0.0.0/8"}) == "10.0.0.1");
  CHECK(client_of("10.0.0.1", {"[2001:db8::7"}, {"10.0.0.0/8"}) == "10.0.0.1");
  CHECK(client_of("10.0.0.1", {"198.51.100.1.5"}, {"10.0.0.0/8"}) == "10.0.0.1");
}

TEST_CASE("A trusted IPv4 hop written as a mapped IPv6 address is the same hop") {
  CHECK(client_of("::ffff:10.0.0.1", {"198.51.100.1"}, {"10.0.0.0/8"}) == "198.51.100.1");
}

TEST_CASE("Addresses are written without their mapping") {
  CHECK(ip_to_string(ip("::ffff:10.1.2.3")) == "10.1.2.3");
  CHECK(ip_to_string(ip("2001:0DB8:0:0:0:0:0:1")) == "2001:db8::1");
}

TEST_CASE("Deny goes before allow, and a non-empty allow refuses everybody else") {
  conf::Route route;
  CHECK(address_allowed(route, ip("203.0.113.9")));
  route.deny = networks({"203.0.113.0/24"});
  CHECK_FALSE(address_allowed(route, ip("203.0.113.9")));
  CHECK(address_allowed(route, ip("203.0.114.9")));
  route.allow = networks({"203.0.113.0/24", "2001:db8::/32"});
  CHECK_FALSE(address_allowed(route, ip("203.0.113.9")));
  CHECK_FALSE(address_allowed(route, ip("203.0.114.9")));
  CHECK(address_allowed(route, ip("2001:db8::1")));
  route.deny.clear();
  CHECK(address_allowed(route, ip("203.0.113.9")));
  CHECK_FALSE(address_allowed(route, ip("2001:db9::1")));
}
