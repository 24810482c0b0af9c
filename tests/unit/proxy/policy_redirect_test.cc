#include <catch2/catch.hpp>

#include "conf/redirect.h"
#include "proxy/policy/redirect.h"

using namespace vignette;
using namespace vignette::proxy;

namespace {

std::string location(std::string_view to, const RedirectFacts& facts, std::string_view route_path = "/old/") {
  conf::Route route;
  route.path = route_path;
  route.prefix = true;
  auto parts = conf::parse_redirect(to);
  REQUIRE(parts);
  route.redirect.parts = *parts;
  return redirect_location(route, facts);
}

const RedirectFacts kFacts{.scheme = "https",
                           .host = "example.com",
                           .request_uri = "/old/%61b?q=1&r=%20",
                           .path = "/old/ab",
                           .query = "q=1&r=%20",
                           .has_query = true};

}  // namespace

TEST_CASE("A redirect's variables take the request's own values") {
  CHECK(location("/new/", kFacts) == "/new/");
  CHECK(location("$scheme://$host/new/$rest", kFacts) == "https://example.com/new/ab?q=1&r=%20");
  CHECK(location("https://other.example$request_uri", kFacts) == "https://other.example/old/%61b?q=1&r=%20");
  CHECK(location("https://other.example/$$1", kFacts) == "https://other.example/$1");
}

TEST_CASE("The rest of a path keeps an empty query and invents none") {
  RedirectFacts facts = kFacts;
  facts.query = "";
  CHECK(location("/new/$rest", facts) == "/new/ab?");
  facts.has_query = false;
  CHECK(location("/new/$rest", facts) == "/new/ab");
}

TEST_CASE("The rest of exactly the prefix is empty") {
  RedirectFacts facts = kFacts;
  facts.path = "/old/";
  facts.has_query = false;
  CHECK(location("/new/$rest", facts) == "/new/");
}

TEST_CASE("A request cannot make a redirect to a path one to another host") {
  RedirectFacts facts = kFacts;
  facts.path = "/old//evil.example/a//b";
  CHECK(location("/$rest", facts) == "/evil.example/a//b?q=1&r=%20");
  CHECK(location("//cdn.example/$rest", facts) == "//cdn.example//evil.example/a//b?q=1&r=%20");
  CHECK(location("/x/$rest", facts) == "/x//evil.example/a//b?q=1&r=%20");
  facts.path = "/old////";
  facts.has_query = false;
  CHECK(location("/$rest", facts) == "/");
}

TEST_CASE("Port 443 is left out of an https location") {
  CHECK(https_location(kFacts, 443) == "https://example.com/old/%61b?q=1&r=%20");
  CHECK(https_location(kFacts, 8443) == "https://example.com:8443/old/%61b?q=1&r=%20");
}
