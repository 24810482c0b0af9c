#include "proxy/route/tls_setup.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

namespace vignette::proxy {
namespace {

constexpr std::chrono::seconds kTicketLife = std::chrono::hours(4);

net::ClientVerification client_verification(const conf::MutualTls& options) {
  using enum conf::VerifyClients;
  const auto mode = options.verify == required   ? net::ClientCertificates::required
                    : options.verify == optional ? net::ClientCertificates::optional
                                                 : net::ClientCertificates::off;
  return {mode, options.ca, options.crl};
}

std::shared_ptr<net::Staple> staple_of(const TlsSetup& setup, const std::string& chain_file) {
  const auto found = std::ranges::find(setup.staples, chain_file, &TlsSetup::Stapled::chain_file);
  return found == setup.staples.end() ? nullptr : found->staple;
}

net::TlsServerOptions server_options(const conf::Config& config, const conf::Listener& listener,
                                     const TlsSetupOptions& setup, const TlsSetup& made) {
  net::TlsServerOptions options;
  for (const conf::Certificate& certificate : config.certificates) {
    options.certificates.push_back({certificate.chain, certificate.key, staple_of(made, certificate.chain)});
  }
  options.default_name = listener.default_certificate;
  if (listener.tls_policy == conf::TlsPolicy::modern) options.min_version = net::TlsVersion::tls1_3;
  if (listener.mtls) options.clients = client_verification(*listener.mtls);
  if (listener.speaks_http2()) options.alpn.emplace_back("h2");
  options.alpn.emplace_back("http/1.1");
  options.tickets = setup.tickets;
  options.ticket_life = kTicketLife;
  if (config.tls.ticket_keys.empty()) {
    options.ticket_life =
        std::min(kTicketLife, std::chrono::floor<std::chrono::seconds>(config.tls.ticket_rotation));
  }
  options.keys = setup.keys;
  return options;
}

std::expected<net::TicketKey, std::string> read_ticket_key(const std::string& path, net::KeyFiles* keys) {
  net::KeyFiles read_afresh;
  const auto bytes = (keys ? *keys : read_afresh).read(path);
  if (!bytes) return std::unexpected(fmt::format("cannot read ticket key {}: {}", path, bytes.error()));
  const auto key = net::TicketKey::parse(*bytes);
  if (key) return *key;
  return std::unexpected(
      fmt::format("{} is no ticket key: it has {} bytes, not 48 or 80", path, bytes->size()));
}

// Listeners that want the same share what serves them.
bool wants_same(const conf::Listener& a, const conf::Listener& b) {
  return a.default_certificate == b.default_certificate && a.tls_policy == b.tls_policy && a.mtls == b.mtls &&
         a.speaks_http2() == b.speaks_http2();
}

std::int64_t unix_now() { return SystemClock().wall().time_since_epoch().count(); }

// "" or why there is nothing to go along with a certificate.
std::string read_staple(const conf::Certificate& certificate, TlsSetup::Stapled& stapled) {
  if (certificate.ocsp == conf::Certificate::kFetchOcsp) {
    auto request = net::make_ocsp_request(certificate.chain);
    if (!request) return request.error();
    stapled.request = std::move(*request);
    return "";
  }
  const auto bytes = net::KeyFiles().read(certificate.ocsp);
  if (!bytes) return bytes.error();
  auto answer = net::read_ocsp_answer(certificate.chain, *bytes, unix_now());
  if (!answer) return answer.error();
  stapled.staple->set(std::make_shared<const net::OcspAnswer>(std::move(*answer)));
  return "";
}

void make_staples(const conf::Config& config, TlsSetup& setup) {
  for (const conf::Certificate& certificate : config.certificates) {
    if (certificate.ocsp.empty()) continue;
    TlsSetup::Stapled stapled{certificate.chain, std::make_shared<net::Staple>(), std::nullopt};
    const std::string wrong = read_staple(certificate, stapled);
    if (!wrong.empty()) {
      setup.warnings.push_back(fmt::format("ocsp = \"{}\" of {}: {}; nothing is stapled", certificate.ocsp,
                                           certificate.chain, wrong));
    }
    setup.staples.push_back(std::move(stapled));
  }
}

void note_certificates(const conf::Config& config, const net::TlsServer& server, TlsSetup& setup) {
  for (std::size_t i = 0; i < config.certificates.size(); ++i) {
    setup.certificates.push_back({config.certificates[i].chain, server.certificates()[i]});
  }
}

}  // namespace

TlsFileMarks mark_tls_files(const conf::Config& config) {
  TlsFileMarks files;
  const auto mark = [&files](const std::string& path) { files.emplace(path, FileMark::of(path)); };
  for (const conf::Certificate& certificate : config.certificates) {
    mark(certificate.chain);
    mark(certificate.key);
    if (!certificate.ocsp.empty() && certificate.ocsp != conf::Certificate::kFetchOcsp)
      mark(certificate.ocsp);
  }
  for (const std::string& path : config.tls.ticket_keys) mark(path);
  for (const conf::Listener& listener : config.listeners) {
    if (!listener.mtls) continue;
    mark(listener.mtls->ca);
    mark(listener.mtls->crl);
  }
  return files;
}

std::shared_ptr<const net::TlsServer> TlsSetup::find(const conf::Address& listener, unsigned worker) const {
  const auto found = std::ranges::find(listeners, listener, &Front::address);
  return found == listeners.end() || worker >= found->servers.size() ? nullptr : found->servers[worker];
}

std::expected<TlsSetupRef, std::vector<std::string>> build_tls_setup(const conf::Config& config,
                                                                     const TlsSetupOptions& options) {
  auto setup = std::make_shared<TlsSetup>();
  setup->files = mark_tls_files(config);
  std::vector<std::string> errors;
  make_staples(config, *setup);
  std::vector<const conf::Listener*> made;
  for (const conf::Listener& listener : config.listeners) {
    if (!listener.tls) continue;
    TlsSetup::Front front{.address = listener.address, .servers = {}};
    const auto twin = std::ranges::find_if(made, [&](const auto* has) { return wants_same(*has, listener); });
    if (twin != made.end()) {
      front.servers = setup->listeners[static_cast<std::size_t>(twin - made.begin())].servers;
    }
    const net::TlsServerOptions wanted = server_options(config, listener, options, *setup);
    while (front.servers.size() < options.workers) {
      auto server = net::TlsServer::create(wanted);
      if (!server) {
        errors.push_back(fmt::format("listener {}: {}", listener.address.to_string(), server.error()));
        break;
      }
      front.servers.push_back(std::move(*server));
    }
    if (made.empty() && !front.servers.empty()) note_certificates(config, *front.servers.front(), *setup);
    made.push_back(&listener);
    setup->listeners.push_back(std::move(front));
  }
  setup->ticket_rotation = config.tls.ticket_rotation;
  for (const std::string& path : config.tls.ticket_keys) {
    auto key = read_ticket_key(path, options.keys);
    if (key) {
      setup->ticket_keys.push_back(*key);
    } else {
      errors.push_back(std::move(key.error()));
    }
  }
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return setup;
}

void apply_ticket_keys(const TlsSetup& setup, net::TicketKeys& tickets) {
  if (setup.ticket_keys.empty()) {
    tickets.use_random(setup.ticket_rotation);
  } else {
    tickets.use(setup.ticket_keys);
  }
}

std::optional<std::string> check_ticket_key(const std::string& path, net::KeyFiles* keys) {
  auto key = read_ticket_key(path, keys);
  return key ? std::nullopt : std::optional(key.error());
}

std::optional<std::string> check_listener_tls(const conf::Config& config, const conf::Listener& listener,
                                              net::KeyFiles* keys) {
  TlsSetupOptions options;
  options.keys = keys;
  auto server = net::TlsServer::create(server_options(config, listener, options, TlsSetup()));
  return server ? std::nullopt : std::optional(server.error());
}

}  // namespace vignette::proxy
