#include "conf/address.h"

#include <catch2/catch.hpp>

namespace vignette::conf {
namespace {

IpBytes ip(std::string_view text) { return parse_ip(text).value(); }

TEST_CASE("an address is read back from what it prints") {
  for (const char* text : {"10.0.0.1:80", "[::1]:8080", "[2001:db8::1]:65535", "app.internal:8000",
                           "unix:/run/app.sock", "0.0.0.0:0"}) {
    INFO(text);
    const auto parsed = parse_address(text);
    REQUIRE(parsed);
    CHECK(parsed->to_string() == text);
    CHECK(parse_address(parsed->to_string()) == parsed);
  }
}

TEST_CASE("a host name is lower case and no literal") {
  const auto parsed = parse_address("App.Internal:8000");
  REQUIRE(parsed);
  CHECK(parsed->host == "app.internal");
  CHECK_FALSE(parsed->is_ip);
  CHECK(parse_address("10.0.0.1:1")->is_ip);
  CHECK(parse_address("[::1]:1")->is_ip);
}

TEST_CASE("what is no address is refused") {
  for (const std::string& text : {std::string(""),
                                  std::string("80"),
                                  std::string(":80"),
                                  std::string("host"),
                                  std::string("host:"),
                                  std::string("host:65536"),
                                  std::string("host:-1"),
                                  std::string("host:0x50"),
                                  std::string("host:080"),
                                  std::string("::1:80"),
                                  std::string("[::1]"),
                                  std::string("[10.0.0.1]:80"),
                                  std::string("[host]:80"),
                                  std::string("10.0.0.256:80"),
                                  std::string("1.2.3:80"),
                                  std::string("a b:80"),
                                  std::string("a..b:80"),
                                  std::string("-a:80"),
                                  std::string("unix:"),
                                  std::string("unix:") + std::string(108, 'x'),
                                  std::string("h\0st:80", 7),
                                  std::string("http://host:80"),
                                  std::string(64, 'a') + ".com:80"}) {
    INFO(text);
    CHECK_FALSE(parse_address(text));
  }
}

TEST_CASE("a unix socket path may be as long as the kernel allows and no longer") {
  CHECK(parse_address("unix:" + std::string(107, 'x')));
  CHECK_FALSE(parse_address("unix:" + std::string(108, 'x')));
}

TEST_CASE("a network holds its first and last address and not their neighbours") {
  const auto v4 = IpPrefix::parse("10.1.0.0/15");
  REQUIRE_FALSE(v4);  // bits behind the length
  const auto network = IpPrefix::parse("10.2.0.0/15").value();
  CHECK(network.contains(ip("10.2.0.0")));
  CHECK(network.contains(ip("10.3.255.255")));
  CHECK_FALSE(network.contains(ip("10.1.255.255")));
  CHECK_FALSE(network.contains(ip("10.4.0.0")));
  const auto v6 = IpPrefix::parse("2001:db8::/33").value();
  CHECK(v6.contains(ip("2001:db8:7fff:ffff:ffff:ffff:ffff:ffff")));
  CHECK_FALSE(v6.contains(ip("2001:db8:8000::")));
}

TEST_CASE("families do not mix, and a mapped address is its IPv4 address") {
  CHECK_FALSE(IpPrefix::parse("::/0")->contains(ip("10.0.0.1")));
  CHECK_FALSE(IpPrefix::parse("0.0.0.0/0")->contains(ip("2001:db8::1")));
  CHECK(IpPrefix::parse("0.0.0.0/0")->contains(ip("255.255.255.255")));
  CHECK(IpPrefix::parse("10.0.0.0/8")->contains(ip("::ffff:10.1.2.3")));
  CHECK(IpPrefix::parse("::ffff:10.0.0.0/104")->contains(ip("10.1.2.3")));
}

TEST_CASE("a network prints as it was written, one address with its full length") {
  for (const char* text : {"10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32"}) {
    CHECK(IpPrefix::parse(text)->to_string() == text);
  }
  CHECK(IpPrefix::parse("10.0.0.1")->to_string() == "10.0.0.1/32");
  CHECK(IpPrefix::parse("::1")->to_string() == "::1/128");
}

TEST_CASE("what is no network is refused") {
  for (const char* text : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.1/8", "10.0.0/8",
                           "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8/8", "host/8", "[::1]/128", "::1%lo"}) {
    INFO(text);
    CHECK_FALSE(IpPrefix::parse(text));
  }
}

}  // namespace
}  // namespace vignette::conf
