#include "net/address.h"

#include <catch2/catch.hpp>

using namespace vignette;
using namespace vignette::net;

TEST_CASE("Addresses are read and written in one form") {
  for (const char* text :
       {"127.0.0.1:80", "[::1]:80", "[2001:db8::7]:65535", "0.0.0.0:0", "unix:/run/x.sock"}) {
    auto address = Address::parse(text);
    REQUIRE(address);
    CHECK(address->to_string() == text);
    sockaddr_storage storage;
    const socklen_t length = address->to_sockaddr(storage);
    REQUIRE(length > 0);
    CHECK(Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), length) == *address);
  }
}

TEST_CASE("What is no address is refused") {
  for (const char* text :
       {"", "127.0.0.1", ":80", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80", "[::1]",
        "[127.0.0.1]:80", "localhost:80", "unix:", "127.0.0.1:80x", "[::1:80", "1.2.3:80"}) {
    INFO(text);
    CHECK_FALSE(Address::parse(text));
  }
  CHECK_FALSE(Address::parse("unix:/" + std::string(107, 'x')));
}

TEST_CASE("A v4-mapped address is the IPv4 address") {
  CHECK(*IpAddress::parse("::ffff:10.0.0.1") == *IpAddress::parse("10.0.0.1"));
  CHECK(IpAddress::parse("::ffff:10.0.0.1")->to_string() == "10.0.0.1");
  CHECK(IpAddress::parse("127.9.9.9")->is_loopback());
  CHECK(IpAddress::parse("::1")->is_loopback());
  CHECK_FALSE(IpAddress::parse("::2")->is_loopback());
  CHECK(Address::parse("unix:/x")->is_loopback());
}
