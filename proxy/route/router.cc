#include "proxy/route/router.h"

#include <algorithm>

#include "base/strings.h"

namespace vignette::proxy {
namespace {

bool matches_path(const conf::Route& route, std::string_view path) {
  return route.prefix ? path.starts_with(route.path) : path == route.path;
}

bool takes_method(const conf::Route& route, std::string_view method) {
  if (route.methods.empty()) return true;
  // Whoever takes GET takes HEAD (RFC 9110 §9.3.2).
  return std::ranges::any_of(route.methods, [&](const std::string& allowed) {
    return allowed == method || (method == "HEAD" && allowed == "GET");
  });
}

bool lists(std::string_view methods, std::string_view method) {
  return std::ranges::any_of(split(methods, ','),
                             [&](std::string_view listed) { return trim(listed) == method; });
}

void add_methods(std::string& list, const conf::Route& route) {
  for (const std::string& method : route.methods) {
    if (lists(list, method)) continue;
    if (!list.empty()) list += ", ";
    list += method;
  }
}

}  // namespace

Router::Router(std::vector<std::unique_ptr<Site>> sites, const std::vector<conf::Site>& options)
    : sites_(std::move(sites)) {
  for (std::size_t i = 0; i < sites_.size(); ++i) {
    for (const std::string& host : options[i].hosts) {
      if (host == "*") {
        any_ = sites_[i].get();
      } else if (host.starts_with("*.")) {
        wildcard_.emplace(host.substr(2), sites_[i].get());
      } else {
        exact_.emplace(host, sites_[i].get());
      }
    }
  }
}

const Site* Router::find_site(std::string_view host) const {
  if (host.ends_with('.')) host.remove_suffix(1);
  if (auto found = exact_.find(host); found != exact_.end()) return found->second;
  if (!wildcard_.empty()) {
    for (std::size_t dot = host.find('.'); dot != std::string_view::npos; dot = host.find('.', dot + 1)) {
      if (auto found = wildcard_.find(host.substr(dot + 1)); found != wildcard_.end()) return found->second;
    }
  }
  return any_;
}

RouteMatch Router::match(const Site* site, std::string_view path, std::string_view method) {
  if (!site) return {};
  RouteMatch result{.outcome = RouteMatch::Outcome::no_route, .route = nullptr, .allowed_methods = {}};
  for (const auto& route : site->routes) {
    if (!matches_path(*route->options, path)) continue;
    if (takes_method(*route->options, method)) {
      result.outcome = RouteMatch::Outcome::found;
      result.route = route.get();
      return result;
    }
    result.outcome = RouteMatch::Outcome::method_not_allowed;
    add_methods(result.allowed_methods, *route->options);
  }
  return result;
}

}  // namespace vignette::proxy
