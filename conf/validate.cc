// Rules over several keys, and what they resolve. Positions come from the tree, walked beside the
// Config: item i of a list of tables is element i of its vector, also when it had errors.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <set>

#include "conf/credentials.h"
#include "conf/option_types.h"
#include "conf/schema.h"
#include "conf/validate_site.h"

namespace vignette::conf {
namespace {

const Node& item(const Node& root, std::string_view list, std::size_t index) {
  return root.find(list)->items[index];
}

// What the node would have to find on the machine: an option that is there and not empty.
void ask(Context& context, const Node* table, std::string_view key, const std::string& value,
         const std::function<Checks::Reason(const std::string&)>& check) {
  const Node* node = table ? table->find(key) : nullptr;
  if (!node || value.empty() || !check) return;
  if (auto wrong = check(value)) context.error(node->at, std::move(*wrong));
}

void check_access_log(Context& context, const Node& root, const Checks& checks, const LogOptions& log) {
  if (log.access != "stdout" && log.access != "off") {
    ask(context, root.find("log"), "access", log.access, checks.access_log);
  }
}

void check_disks(Context& context, const CacheOptions& cache) {
  std::set<std::filesystem::path> folders;
  for (const DiskOptions& disk : cache.disk) {
    const std::filesystem::path folder = std::filesystem::path(disk.path) / "";
    if (disk.path.empty() || folders.insert(folder.lexically_normal()).second) continue;
    context.error(disk.where, fmt::format("the folder \"{}\" has a volume already", disk.path));
  }
}

void check_cache(Context& context, const Node& root, CacheOptions& cache) {
  check_disks(context, cache);
  if (cache.max_object <= cache.memory) return;
  const Node* table = root.find("cache");
  const Node* named = table ? table->find("max_object") : nullptr;
  if (named) context.error(named->at, "a single object cannot be larger than cache.memory");
  cache.max_object = cache.memory;
}

void check_duplicate_address(Context& context, const Address& address, const Position& at,
                             std::map<std::string, Position>& seen) {
  const bool chosen_by_kernel = address.kind == Address::Kind::tcp && address.port == 0;
  const bool unread = address == Address();
  if (chosen_by_kernel || unread) return;
  const auto [first, fresh] = seen.emplace(address.to_string(), at);
  if (!fresh) {
    context.error(at, fmt::format("{} is already listened on at {}:{}", address.to_string(),
                                  first->second.file, first->second.line));
  }
}

// Keys that mean something only with `tls`.
void check_tls_keys(Context& context, const Node& node, const Listener& listener) {
  if (listener.tls) return;
  for (const char* key : {"tls_policy", "default_certificate", "mtls"}) {
    if (const Member* member = node.find_member(key)) {
      context.error(member->at, fmt::format("\"{}\" needs a listener with tls", key));
    }
  }
}

// Whose PROXY headers are believed, where the listener itself does not say.
void resolve_proxy_networks(Context& context, const Node& node, const ServerOptions& server,
                            Listener& listener) {
  if (!listener.proxy_protocol || !listener.proxy_from.empty()) return;
  listener.proxy_from = server.trusted;
  if (server.trusted.empty()) {
    context.error(node.find("proxy_protocol")->at,
                  "proxy_protocol = true believes the networks of server.trusted, and there are none");
  }
}

void check_listeners(Context& context, const Node& root, Config& config) {
  std::map<std::string, Position> seen;
  if (config.server.admin) {
    check_duplicate_address(context, *config.server.admin, root.find("server")->find("admin")->at, seen);
  }
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    Listener& listener = config.listeners[i];
    const Node& node = item(root, "listener", i);
    resolve_proxy_networks(context, node, config.server, listener);
    if (const Node* address = node.find("address")) {
      check_duplicate_address(context, listener.address, address->at, seen);
    }
    if (listener.tls && config.certificates.empty()) {
      context.error(node.find("tls")->at, "a listener with tls needs a [[certificate]]");
    }
    if (listener.tls && listener.redirect_https_port) {
      context.error(node.find("redirect")->at, "a listener with tls cannot redirect to https");
    }
    check_tls_keys(context, node, listener);
  }
  if (root.find("listener") == nullptr) {
    const std::string file = config.files.empty() ? "" : config.files.front();
    context.error({file, 1, 1}, "there is no [[listener]], so nothing would be served");
  }
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }
bool is_hidden(const std::string& path) { return ::access(path.c_str(), R_OK) != 0 && errno == EACCES; }

bool has_own_tls(const Listener& listener) {
  return listener.tls && (!listener.default_certificate.empty() || listener.mtls);
}

// What listeners ask of certificates that are fine by themselves.
void check_listener_tls(Context& context, const Checks& checks, const Config& config) {
  if (!checks.listener_tls) return;
  for (const Certificate& pair : config.certificates) {
    if (!exists(pair.chain)) return;  // made at start
  }
  for (const Listener& listener : config.listeners) {
    if (!has_own_tls(listener)) continue;
    if (auto wrong = checks.listener_tls(config, listener)) context.error(listener.where, std::move(*wrong));
  }
}

void check_certificate(Context& context, const Node& node, const Checks& checks, const Certificate& pair) {
  const Node* chain = node.find("chain");
  const Node* key = node.find("key");
  if (!chain || !key || pair.chain.empty() || pair.key.empty()) return;
  if (pair.chain == pair.key && !pair.self_signed.empty()) {
    context.error(key->at, "chain and key of a self-signed certificate are two files");
    return;
  }
  // Made at start; half a pair is a mistake that making would overwrite.
  if (!pair.self_signed.empty() && !exists(pair.chain) && !exists(pair.key)) return;
  const std::size_t before = context.errors();
  file_path().parse(context, *chain);
  // A key that root alone may read may have been read as root: checks.certificate knows.
  if (!checks.certificate || !is_hidden(pair.key)) file_path().parse(context, *key);
  if (context.errors() != before || !checks.certificate) return;
  if (auto wrong = checks.certificate(pair)) context.error(chain->at, std::move(*wrong));
}

void check_ticket_keys(Context& context, const Node& root, const Checks& checks, const TlsOptions& options) {
  const Node* tls = root.find("tls");
  const Node* files = tls && tls->is(Node::Kind::table) ? tls->find("ticket_keys") : nullptr;
  if (!files || !files->is(Node::Kind::array) || files->items.size() != options.ticket_keys.size()) return;
  for (std::size_t i = 0; i < options.ticket_keys.size(); ++i) {
    const Node& node = files->items[i];
    const std::string& path = options.ticket_keys[i];
    const std::size_t before = context.errors();
    if (!checks.ticket_key || !is_hidden(path)) file_path().parse(context, node);
    if (context.errors() != before || !checks.ticket_key) continue;
    if (auto wrong = checks.ticket_key(path)) context.error(node.at, std::move(*wrong));
  }
}

void check_kind(Context& context, const Node& node, Origin& origin) {
  std::vector<std::string> kinds;
  for (const char* key : {"servers", "s3", "directory"}) {
    if (node.find(key)) kinds.emplace_back(key);
  }
  if (kinds.empty()) {
    context.error(origin.where, fmt::format("origin \"{}\" needs one of \"servers\", \"s3\" or \"directory\"",
                                            origin.name));
    return;
  }
  origin.kind = kinds[0] == "servers" ? OriginKind::servers
                : kinds[0] == "s3"    ? OriginKind::s3
                                      : OriginKind::directory;
  if (kinds.size() > 1) {
    context.error(
        node.find_member(kinds[1])->at,
        fmt::format("origin \"{}\" has \"{}\" already; an origin is of one kind", origin.name, kinds[0]));
    return;
  }
  std::vector<std::string> foreign;
  if (origin.kind != OriginKind::servers) foreign = {"balance", "health", "tls", "proxy_protocol"};
  if (origin.kind == OriginKind::directory) foreign.emplace_back("timeouts");
  for (const std::string& key : foreign) {
    if (const Member* member = node.find_member(key)) {
      context.error(member->at,
                    fmt::format("\"{}\" does not go with an origin that has \"{}\"", key, kinds[0]));
    }
  }
}

void check_servers(Context& context, const Node& list, const Origin& origin) {
  if (!list.is(Node::Kind::array)) return;
  if (origin.servers.empty()) {
    context.error(list.at, "expected at least one server");
  } else if (std::ranges::all_of(origin.servers, &OriginServer::backup)) {
    context.error(list.at, "every server is a backup; at least one must not be");
  }
  std::set<std::string> seen;
  for (const OriginServer& server : origin.servers) {
    if (server.address == Address()) continue;
    if (!seen.insert(server.address.to_string()).second) {
      context.error(server.where,
                    fmt::format("{} is in this list twice; use weight", server.address.to_string()));
    }
    const bool nameless = server.address.kind == Address::Kind::unix_socket && origin.tls &&
                          origin.tls->verify && origin.tls->sni.empty();
    if (nameless) context.error(server.where, "tls to a unix socket needs tls.sni, the name to verify");
  }
}

void check_health(Context& context, const Node& node, const Origin& origin) {
  if (!origin.health || origin.health->timeout <= origin.health->interval) return;
  const Node* health = node.find("health");
  const Node* timeout = health->find("timeout");
  context.error(timeout ? timeout->at : health->at, "health.timeout must not be longer than health.interval");
}

void check_s3(Context& context, const Node& node, S3Options& s3) {
  if (const auto missing = load_credentials(s3)) context.error(node.at, *missing);
  if (s3.dualstack && !s3.endpoint.empty()) {
    context.error(node.find("dualstack")->at,
                  "\"dualstack\" chooses among AWS's own endpoints; leave out "
                  "\"endpoint\", or name the right one there");
  }
  const Node* key = node.find("sse_customer_key_file");
  if (!key || s3.sse_customer_key_file.empty()) return;
  if (const auto wrong = load_customer_key(s3)) context.error(key->at, *wrong);
  if (s3.endpoint.starts_with("http://")) {
    context.error(key->at, "a customer's key needs an endpoint over TLS; anybody on the way could read it");
  }
}

void check_origin(Context& context, const Node& node, const Checks& checks, Origin& origin) {
  check_kind(context, node, origin);
  if (origin.kind == OriginKind::servers) {
    if (const Node* list = node.find("servers")) check_servers(context, *list, origin);
    check_health(context, node, origin);
    if (origin.tls && !origin.tls->ca.empty() && checks.ca_file) {
      if (auto wrong = checks.ca_file(origin.tls->ca))
        context.error(node.find("tls")->find("ca")->at, *wrong);
    }
  }
  if (origin.kind != OriginKind::s3) return;
  const Node* timeouts = node.find("timeouts");
  if (!timeouts || !timeouts->find("first_byte")) origin.timeouts.first_byte = OriginTimeouts::kS3FirstByte;
  check_s3(context, *node.find("s3"), origin.s3);
}

void check_image_keys(Context& context, const Node& images, const ImageOptions& options) {
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < options.keys.size(); ++i) {
    const Node& node = images.find("keys")->items[i];
    if (!node.is(Node::Kind::table)) continue;
    const bool one = (node.find("secret_file") != nullptr) != (node.find("secret_env") != nullptr);
    if (!one) context.error(node.at, "expected one of \"secret_file\" and \"secret_env\"");
    const std::string& id = options.keys[i].id;
    if (!id.empty() && !seen.insert(id).second) {
      context.error(node.find("id")->at, fmt::format("another key is called \"{}\"", id));
    }
  }
}

void check_images(Context& context, const Node& root, const Checks& checks, const ImageOptions& options) {
  const Node* images = root.find("images");
  if (!images || !images->is(Node::Kind::table)) return;
  check_image_keys(context, *images, options);
  if (options.unsigned_access == UnsignedImages::presets && options.presets.empty()) {
    context.error(images->find("unsigned")->at, "\"presets\" needs images.presets");
  }
  if (!checks.preset) return;
  for (const auto& [name, operations] : options.presets) {
    if (auto wrong = checks.preset(operations)) {
      context.error(images->find("presets")->find(name)->at, fmt::format("preset \"{}\": {}", name, *wrong));
    }
  }
}

void check_geo_databases(Context& context, const Node& root, const Checks& checks, const GeoOptions& geo) {
  if (!checks.geo_database) return;
  for (const auto& [kind, path] :
       {std::pair("country", &geo.country), std::pair("city", &geo.city), std::pair("asn", &geo.asn)}) {
    if (path->empty()) continue;
    if (auto wrong = checks.geo_database(kind, *path)) {
      context.error(root.find("geo")->find(kind)->at, *wrong);
    }
  }
}

}  // namespace

void validate(Context& context, const Node& root, const Checks& checks, Config& config) {
  ask(context, root.find("server"), "user", config.server.user, checks.user);
  check_access_log(context, root, checks, config.log);
  check_cache(context, root, config.cache);
  check_listeners(context, root, config);
  const std::size_t before = context.errors();
  for (std::size_t i = 0; i < config.certificates.size(); ++i) {
    check_certificate(context, item(root, "certificate", i), checks, config.certificates[i]);
  }
  check_ticket_keys(context, root, checks, config.tls);
  if (context.errors() == before) check_listener_tls(context, checks, config);
  for (Origin& origin : config.origins) {
    const Node& node = *root.find("origin")->find(origin.name);
    if (node.is(Node::Kind::table)) check_origin(context, node, checks, origin);
  }
  std::ranges::sort(config.origins, {}, &Origin::name);
  check_images(context, root, checks, config.images);
  check_geo_databases(context, root, checks, config.geo);
  validate_sites(context, root, config);
}

}  // namespace vignette::conf
