#include "proxy/route/snapshot.h"

#include <filesystem>

#include <fmt/core.h>

#include "base/hash.h"
#include "base/strings.h"
#include "proxy/node.h"
#include "proxy/origin/make_origin.h"
#include "proxy/route/geo_files.h"

namespace vignette::proxy {
namespace {

std::chrono::seconds seconds(conf::milliseconds duration) {
  return std::chrono::ceil<std::chrono::seconds>(duration);
}

cache::CachePolicy cache_policy(const conf::RouteCache& options) {
  cache::CachePolicy policy;
  switch (options.mode) {
    case conf::CacheMode::on:
      policy.mode = cache::CacheMode::on;
      break;
    case conf::CacheMode::explicit_only:
      policy.mode = cache::CacheMode::explicit_only;
      break;
    case conf::CacheMode::off:
      policy.mode = cache::CacheMode::off;
      break;
  }
  if (options.ttl) {
    policy.default_ttl = seconds(*options.ttl);
    policy.error_ttl = std::chrono::seconds(1);
  }
  if (options.negative_ttl) policy.not_found_ttl = seconds(*options.negative_ttl);
  policy.min_ttl = seconds(options.min_ttl);
  if (options.max_ttl) policy.max_ttl = seconds(*options.max_ttl);
  if (options.stale_while_revalidate) {
    policy.stale_while_revalidate = seconds(*options.stale_while_revalidate);
  }
  policy.stale_if_error = seconds(options.stale_if_error);
  policy.keep_tag_fields = options.send_tags;
  policy.obey_request = options.obey_client;
  policy.store_set_cookie = options.store_set_cookie;
  return policy;
}

imaging::UnsignedPolicy unsigned_policy(conf::UnsignedImages option) {
  switch (option) {
    case conf::UnsignedImages::off:
      return imaging::UnsignedPolicy::off;
    case conf::UnsignedImages::presets:
      return imaging::UnsignedPolicy::presets;
    case conf::UnsignedImages::on:
      return imaging::UnsignedPolicy::on;
  }
  return imaging::UnsignedPolicy::off;
}

// Collects errors, so that an operator sees all of them at once.
class Builder {
 public:
  Builder(std::shared_ptr<const conf::Config> config, Node& node, const SnapshotOptions& options)
      : node_(node), options_(options), snapshot_(std::make_shared<Snapshot>()) {
    snapshot_->config = std::move(config);
    snapshot_->generation = options.generation;
  }

  SnapshotResult build() {
    make_certificates();
    load_tls();
    load_databases();
    load_images();
    make_origins();
    if (!errors_.empty()) return std::unexpected(std::move(errors_));
    make_router();
    return Built{.snapshot = std::move(snapshot_), .databases = std::move(databases_)};
  }

 private:
  const conf::Config& config() const { return *snapshot_->config; }

  void make_certificates() {
    namespace fs = std::filesystem;
    for (const conf::Certificate& certificate : config().certificates) {
      std::error_code ignored;
      if (certificate.self_signed.empty() || fs::exists(certificate.chain, ignored)) continue;
      fs::create_directories(fs::path(certificate.chain).parent_path(), ignored);
      auto made = net::make_self_signed(certificate.self_signed, certificate.chain, certificate.key);
      if (!made) errors_.push_back(made.error());
    }
  }

  void load_tls() {
    if (!errors_.empty()) return;
    auto setup = build_tls_setup(config(), options_.tls);
    if (setup) {
      snapshot_->tls = std::move(*setup);
    } else {
      errors_ = std::move(setup.error());
    }
  }

  void load_databases() {
    auto loaded = geo::load_databases(geo_paths(config().geo), options_.databases, bad_record_reports(node_));
    if (!loaded) {
      errors_.insert(errors_.end(), loaded.error().begin(), loaded.error().end());
      return;
    }
    databases_ = std::move(*loaded);
  }

  void load_images() {
    const conf::ImageOptions& options = config().images;
    imaging::GrammarOptions grammar_options;
    for (const auto& [name, operations] : options.presets) grammar_options.presets.emplace(name, operations);
    grammar_options.ladder = options.ladder;
    auto grammar = imaging::Grammar::make(std::move(grammar_options));
    if (!grammar) {
      errors_.push_back(fmt::format("[images]: {}", grammar.error().message()));
      return;
    }
    imaging::UrlOptions url_options;
    url_options.unsigned_policy = unsigned_policy(options.unsigned_access);
    for (const conf::ImageKey& key : options.keys) {
      url_options.keys.push_back({key.id, std::string(key.secret.reveal())});
    }
    auto urls = imaging::ImageUrls::make(std::move(url_options),
                                         std::make_shared<const imaging::Grammar>(std::move(*grammar)));
    if (!urls) {
      errors_.push_back(fmt::format("[images]: {}", urls.error().message));
      return;
    }
    snapshot_->image_urls = std::make_unique<const imaging::ImageUrls>(std::move(*urls));
  }

  void make_origins() {
    for (const conf::Origin& options : config().origins) {
      auto origin = make_origin(options, node_);
      if (!origin) {
        errors_.push_back(fmt::format("[origin.{}]: {}", options.name, origin.error()));
        continue;
      }
      snapshot_->origins.emplace(options.name, std::move(*origin));
    }
  }

  std::unique_ptr<Route> make_route(const conf::Site& site, const conf::Route& options) {
    auto route = std::make_unique<Route>();
    route->options = &options;
    route->label = fmt::format("{}{}{}", site.hosts.front(), options.path, options.prefix ? "*" : "");
    route->rate_scope = hash64(route->label);
    for (const std::string& name : options.origins)
      route->origins.push_back(snapshot_->origins.at(name).get());
    route->cache_policy = cache_policy(options.cache);
    route->geo.allow.assign(options.geo.allow_countries.begin(), options.geo.allow_countries.end());
    route->geo.deny.assign(options.geo.deny_countries.begin(), options.geo.deny_countries.end());
    for (const std::string& name : options.headers.remove) route->remove_fields.push_back(to_lower(name));
    for (const auto& [name, value] : options.headers.set)
      route->set_fields.emplace_back(to_lower(name), value);
    route->uses_geo = !route->geo.allow.empty() || !route->geo.deny.empty();
    route->metrics.duration = &node_.metrics.registry.histogram(
        "vignette_request_duration_seconds",
        "From a request's head to the last byte of its answer, by route.", {{"route", route->label}});
    return route;
  }

  void make_router() {
    std::vector<std::unique_ptr<Site>> sites;
    for (const conf::Site& options : config().sites) {
      auto site = std::make_unique<Site>();
      site->name = options.hosts.front();
      site->path_rules = options.path_rules();
      for (const conf::Route& route : options.routes) site->routes.push_back(make_route(options, route));
      sites.push_back(std::move(site));
    }
    snapshot_->router = std::make_unique<Router>(std::move(sites), config().sites);
  }

  Node& node_;
  const SnapshotOptions& options_;
  std::shared_ptr<Snapshot> snapshot_;
  geo::DatabasesRef databases_;
  std::vector<std::string> errors_;
};

conf::Checks::Reason reason_of(const auto& result) {
  return result ? conf::Checks::Reason() : conf::Checks::Reason(result.error());
}

}  // namespace

SnapshotResult build_snapshot(std::shared_ptr<const conf::Config> config, Node& node,
                              const SnapshotOptions& options) {
  return Builder(std::move(config), node, options).build();
}

conf::Checks snapshot_checks(net::KeyFiles* keys) {
  conf::Checks checks;
  checks.certificate = [keys](const conf::Certificate& certificate) {
    net::TlsServerOptions options;
    options.keys = keys;
    options.certificates.push_back({certificate.chain, certificate.key});
    return reason_of(net::TlsServer::create(options));
  };
  checks.ticket_key = [keys](const std::string& path) { return check_ticket_key(path, keys); };
  checks.listener_tls = [keys](const conf::Config& config, const conf::Listener& listener) {
    return check_listener_tls(config, listener, keys);
  };
  checks.geo_database = [](std::string_view name, const std::string& path) {
    const auto kind = std::ranges::find(geo::kKinds, name, [](geo::Kind is) { return geo::to_string(is); });
    return reason_of(geo::Database::open(*kind, path));
  };
  checks.ca_file = [](const std::string& path) {
    net::TlsClientOptions options;
    options.ca_file = path;
    return reason_of(net::TlsClient::create(options));
  };
  checks.preset = [](std::string_view operations) -> conf::Checks::Reason {
    imaging::GrammarOptions options;
    options.presets.emplace("preset", operations);
    auto grammar = imaging::Grammar::make(std::move(options));
    if (grammar) return std::nullopt;
    return grammar.error().message();
  };
  return checks;
}

}  // namespace vignette::proxy
