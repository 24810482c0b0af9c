// From host, path and method to a route. Built once per configuration; Immutable after construction.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "conf/config.h"
#include "http/message.h"
#include "http/url.h"
#include "proxy/route/route.h"

namespace vignette::proxy {

struct Site {
  std::string name;  // its first host, for logs and metrics
  std::vector<std::unique_ptr<Route>> routes;
  http::PathRules path_rules;
};

struct RouteMatch {
  enum class Outcome : std::uint8_t { found, no_site, no_route, method_not_allowed };
  Outcome outcome = Outcome::no_site;
  const Route* route = nullptr;  // set when found
  // Methods that some route at this path takes, for the Allow field of a 405.
  std::string allowed_methods;
};

// How paths of that site are normalised; of none, by default rules.
inline http::PathRules path_rules(const Site* site) { return site ? site->path_rules : http::PathRules(); }

class Router {
 public:
  explicit Router(std::vector<std::unique_ptr<Site>> sites, const std::vector<conf::Site>& options);

  // `host` is lower case without port; `path` is normalised. An exact name wins over a wildcard, a longer
  // wildcard over a shorter one, any of them over "*"; inside a site the first match in file order wins.
  RouteMatch match(std::string_view host, std::string_view path, std::string_view method) const {
    return match(find_site(host), path, method);
  }
  // `site` is find_site()'s.
  static RouteMatch match(const Site* site, std::string_view path, std::string_view method);
  const Site* find_site(std::string_view host) const;  // null: none has that name
  const std::vector<std::unique_ptr<Site>>& sites() const { return sites_; }

 private:
  using Hosts = std::unordered_map<std::string, const Site*, StringHash, std::equal_to<>>;

  std::vector<std::unique_ptr<Site>> sites_;
  Hosts exact_;
  Hosts wildcard_;  // "*.example.com" under "example.com"
  const Site* any_ = nullptr;
};

}  // namespace vignette::proxy
