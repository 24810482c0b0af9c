#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "proxy/route/router.h"

using namespace vignette;
using namespace vignette::proxy;

namespace {

using Outcome = RouteMatch::Outcome;

conf::Route route(std::string_view path, std::vector<std::string> methods = {}) {
  conf::Route options;
  options.prefix = path.ends_with('*');
  options.path = options.prefix ? path.substr(0, path.size() - 1) : path;
  options.methods = std::move(methods);
  return options;
}

conf::Site site(std::vector<std::string> hosts, std::vector<conf::Route> routes) {
  conf::Site options;
  options.hosts = std::move(hosts);
  options.routes = std::move(routes);
  return options;
}

// A router over these sites; each route's label is its pattern behind the site's first host.
class Routes {
 public:
  explicit Routes(std::vector<conf::Site> options)
      : options_(std::move(options)), router_(build(), options_) {}

  RouteMatch match(std::string_view host, std::string_view path, std::string_view method = "GET") const {
    return router_.match(host, path, method);
  }
  std::string label(std::string_view host, std::string_view path, std::string_view method = "GET") const {
    RouteMatch found = match(host, path, method);
    return found.route ? found.route->label : "";
  }

 private:
  std::vector<std::unique_ptr<Site>> build() const {
    std::vector<std::unique_ptr<Site>> sites;
    for (const conf::Site& from : options_) {
      auto made = std::make_unique<Site>();
      made->name = from.hosts.front();
      for (const conf::Route& options : from.routes) {
        auto compiled = std::make_unique<Route>();
        compiled->options = &options;
        compiled->label = made->name + options.path + (options.prefix ? "*" : "");
        made->routes.push_back(std::move(compiled));
      }
      sites.push_back(std::move(made));
    }
    return sites;
  }

  std::vector<conf::Site> options_;
  Router router_;
};

}  // namespace

TEST_CASE("An exact host wins over a wildcard, a longer wildcard over a shorter one, any over the star") {
  Routes routes({site({"*"}, {route("/*")}), site({"*.example.com"}, {route("/*")}),
                 site({"*.img.example.com"}, {route("/*")}), site({"www.example.com"}, {route("/*")})});
  CHECK(routes.label("www.example.com", "/") == "www.example.com/*");
  CHECK(routes.label("shop.example.com", "/") == "*.example.com/*");
  CHECK(routes.label("a.b.example.com", "/") == "*.example.com/*");
  CHECK(routes.label("a.img.example.com", "/") == "*.img.example.com/*");
  CHECK(routes.label("img.example.com", "/") == "*.example.com/*");
  CHECK(routes.label("example.com", "/") == "*/*");
  CHECK(routes.label("other.example", "/") == "*/*");
  CHECK(routes.label("", "/") == "*/*");
}

TEST_CASE("A wildcard is every name below, not the name itself and not names that only end alike") {
  Routes routes({site({"*.example.com"}, {route("/*")})});
  CHECK(routes.match("example.com", "/").outcome == Outcome::no_site);
  CHECK(routes.match("notexample.com", "/").outcome == Outcome::no_site);
  CHECK(routes.match("a.example.com", "/").outcome == Outcome::found);
}

TEST_CASE("Without a star an unknown host has no site") {
  Routes routes({site({"example.com", "www.example.com"}, {route("/*")})});
  CHECK(routes.match("example.com", "/").outcome == Outcome::found);
  CHECK(routes.match("www.example.com", "/").outcome == Outcome::found);
  CHECK(routes.match("other.example", "/").outcome == Outcome::no_site);
  CHECK(routes.match("", "/").outcome == Outcome::no_site);
}

TEST_CASE("A trailing dot of the host does not matter") {
  Routes routes({site({"example.com"}, {route("/*")})});
  CHECK(routes.match("example.com.", "/").outcome == Outcome::found);
  CHECK(routes.match("example.com..", "/").outcome == Outcome::no_site);
}

TEST_CASE("The first route in file order wins, whatever its length") {
  Routes routes({site({"*"}, {route("/a/*"), route("/a/b/*"), route("/a/c"), route("/*")})});
  CHECK(routes.label("h", "/a/b/c") == "*/a/*");
  CHECK(routes.label("h", "/a/c") == "*/a/*");
  CHECK(routes.label("h", "/a") == "*/*");
}

TEST_CASE("A path without a star matches itself only, and case counts") {
  Routes routes({site({"*"}, {route("/a"), route("/i/*")})});
  CHECK(routes.label("h", "/a") == "*/a");
  CHECK(routes.match("h", "/a/").outcome == Outcome::no_route);
  CHECK(routes.match("h", "/ab").outcome == Outcome::no_route);
  CHECK(routes.match("h", "/A").outcome == Outcome::no_route);
  CHECK(routes.label("h", "/i/") == "*/i/*");
  CHECK(routes.match("h", "/i").outcome == Outcome::no_route);
}

TEST_CASE("A route that does not take the method lets a later one have it") {
  Routes routes({site({"*"}, {route("/a", {"POST"}), route("/a", {"GET"}), route("/b", {"PUT", "POST"})})});
  CHECK(routes.match("h", "/a", "GET").outcome == Outcome::found);
  CHECK(routes.match("h", "/a", "POST").outcome == Outcome::found);
  RouteMatch refused = routes.match("h", "/a", "DELETE");
  CHECK(refused.outcome == Outcome::method_not_allowed);
  CHECK(refused.allowed_methods == "POST, GET");
  CHECK(routes.match("h", "/b", "GET").allowed_methods == "PUT, POST");
  CHECK(routes.match("h", "/b", "get").outcome == Outcome::method_not_allowed);
}

TEST_CASE("Whoever takes GET takes HEAD") {
  Routes routes({site({"*"}, {route("/a", {"GET"}), route("/b", {"POST"})})});
  CHECK(routes.match("h", "/a", "HEAD").outcome == Outcome::found);
  CHECK(routes.match("h", "/b", "HEAD").outcome == Outcome::method_not_allowed);
}

TEST_CASE("A method that is part of another's name is still listed for a 405") {
  Routes routes({site({"*"}, {route("/a", {"PATCHED"}), route("/a", {"PATCH"})})});
  CHECK(routes.match("h", "/a", "GET").allowed_methods == "PATCHED, PATCH");
}
