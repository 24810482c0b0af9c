// The server side: certificates as their files have them, grouped by the names that they cover. A name's
// group has at most one certificate of each algorithm, and is one SSL_CTX: OpenSSL takes the one that the
// client's signature algorithms ask for, ECDSA before RSA where it can check both.
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <map>

#include <fmt/core.h>

#include "base/check.h"
#include "base/strings.h"
#include "net/certificate.h"
#include "net/client_checks.h"
#include "net/key_files.h"
#include "net/tls_context.h"

namespace vignette::net {
namespace {

struct Served {
  CertificatePtr leaf;
  ChainPtr chain;  // what follows it in the file
  KeyPtr key;
  CertificateNames covers;
  int algorithm() const { return EVP_PKEY_get_base_id(key.get()); }
};

// By algorithm, so that a name has one of each.
using Group = std::map<int, std::size_t>;

int select_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                unsigned offered_size, void* argument) {
  const auto& impl = *static_cast<const TlsServer::Impl*>(argument);
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, impl.alpn.data(), static_cast<unsigned>(impl.alpn.size()),
                            offered, offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int select_certificate(SSL* ssl, int*, void* argument) {
  const auto& impl = *static_cast<const TlsServer::Impl*>(argument);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  const std::size_t chosen = name ? impl.choose(name) : 0;
  if (chosen != 0) SSL_set_SSL_CTX(ssl, impl.contexts[chosen].get());
  return SSL_TLSEXT_ERR_OK;
}

// Whatever is known goes along; a client that wants it decides what it makes of nothing.
int staple(SSL* ssl, void* argument) {
  const auto& impl = *static_cast<const TlsServer::Impl*>(argument);
  const auto found = std::ranges::find(impl.staples, SSL_get_certificate(ssl), &StapledLeaf::leaf);
  if (found == impl.staples.end()) return SSL_TLSEXT_ERR_NOACK;
  const auto answer = found->staple->get(impl.clock.wall().time_since_epoch().count());
  if (!answer) return SSL_TLSEXT_ERR_NOACK;
  void* copy = OPENSSL_memdup(answer->der.data(), answer->der.size());
  if (!copy) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(answer->der.size()));
  return SSL_TLSEXT_ERR_OK;
}

std::expected<KeyPtr, std::string> read_key(const std::string& path, KeyFiles& keys) {
  const auto text = keys.read(path);
  if (!text) return std::unexpected(text.error());
  const BioPtr bio(BIO_new_mem_buf(text->data(), static_cast<int>(text->size())));
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  if (!key) return std::unexpected(openssl_reason());
  return key;
}

std::expected<Served, std::string> load(const TlsCertificate& files, KeyFiles& keys) {
  auto chain = read_chain(files.chain_file);
  if (!chain) {
    return std::unexpected(
        fmt::format("cannot use certificate chain {}: {}", files.chain_file, chain.error()));
  }
  Served served{.leaf = std::move(chain->leaf), .chain = std::move(chain->rest), .key = {}, .covers = {}};
  auto key = read_key(files.key_file, keys);
  if (key && X509_check_private_key(served.leaf.get(), key->get()) != 1) {
    key = std::unexpected(openssl_reason());
  }
  if (!key) {
    return std::unexpected(
        fmt::format("cannot use key {} with {}: {}", files.key_file, files.chain_file, key.error()));
  }
  served.key = std::move(*key);
  served.covers = names_of(served.leaf.get());
  return served;
}

std::string wildcard_of(std::string_view name) {
  const std::size_t dot = name.find('.');
  return dot == name.npos || dot == 0 || name.starts_with('*') ? std::string()
                                                               : "*" + std::string(name.substr(dot));
}

// Every name with its certificates. What an exact name lacks it has from the wildcard that covers it.
std::map<std::string, Group> group_by_name(const std::vector<Served>& certificates) {
  std::map<std::string, Group> groups;
  for (std::size_t i = 0; i < certificates.size(); ++i) {
    for (const std::string& name : certificates[i].covers.names) {
      groups[name].try_emplace(certificates[i].algorithm(), i);
    }
  }
  for (auto& [name, group] : groups) {
    const auto wild = groups.find(wildcard_of(name));
    if (wild != groups.end()) group.insert(wild->second.begin(), wild->second.end());
  }
  return groups;
}

// Whose group answers where no name is known.
std::expected<Group, std::string> default_group(const std::map<std::string, Group>& groups,
                                                const std::vector<Served>& certificates,
                                                const std::string& name) {
  if (name.empty()) {
    const Served& first = certificates.front();
    return first.covers.names.empty() ? Group{{first.algorithm(), 0}} : groups.at(first.covers.names.front());
  }
  auto found = groups.find(to_lower(name));
  if (found == groups.end()) found = groups.find(wildcard_of(to_lower(name)));
  if (found == groups.end()) {
    return std::unexpected(fmt::format("no certificate covers \"{}\", the default", name));
  }
  return found->second;
}

bool set_ticket_mac(EVP_MAC_CTX* mac, TicketKey& key) {
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.hmac.data(), key.secret_bytes),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

// OpenSSL's values: -1 an error, 0 no such key (a whole handshake follows), 1 done, 2 done and the client
// should get a new ticket.
int handle_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                  int encrypts) {
  const auto& impl = *static_cast<const TlsServer::Impl*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  TicketKeys::Found found{.key = {}, .is_current = true};
  if (encrypts) {
    found.key = impl.tickets->current();
    std::ranges::copy(found.key.name, name);
    if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1) return -1;
  } else {
    auto known = impl.tickets->find(
        std::span<const unsigned char, TicketKey::kNameBytes>(name, TicketKey::kNameBytes));
    if (!known) return 0;
    found = *known;
  }
  const EVP_CIPHER* kind = found.key.secret_bytes == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc();
  const bool is_set = set_ticket_mac(mac, found.key) &&
                      EVP_CipherInit_ex(cipher, kind, nullptr, found.key.aes.data(), iv, encrypts) == 1;
  OPENSSL_cleanse(&found.key, sizeof found.key);
  if (!is_set) return -1;
  // A ticket of TLS 1.3 is for one connection, so a resumed one brings the next (RFC 8446 appendix C.4).
  const bool is_renewed = !found.is_current || (!encrypts && SSL_version(ssl) == TLS1_3_VERSION);
  return is_renewed ? 2 : 1;
}

void set_server(SSL_CTX* context, const TlsServerOptions& options, const ClientChecks& clients,
                TlsServer::Impl& impl) {
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_min_proto_version(context,
                                options.min_version == TlsVersion::tls1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 1);
  SSL_CTX_set_timeout(context, static_cast<long>(options.ticket_life.count()));
  SSL_CTX_set_app_data(context, &impl);
  clients.set(context);
  if (!impl.staples.empty()) {
    SSL_CTX_set_tlsext_status_cb(context, staple);
    SSL_CTX_set_tlsext_status_arg(context, &impl);
  }
  VCHECK(SSL_CTX_set_tlsext_ticket_key_evp_cb(context, handle_ticket) == 1);
  SSL_CTX_set_tlsext_servername_callback(context, select_certificate);
  SSL_CTX_set_tlsext_servername_arg(context, &impl);
  if (!impl.alpn.empty()) SSL_CTX_set_alpn_select_cb(context, select_alpn, &impl);
}

// Puts the contexts of one TlsServer together.
class ServerBuilder {
 public:
  explicit ServerBuilder(const TlsServerOptions& options) : options_(options) {}

  std::expected<std::unique_ptr<TlsServer::Impl>, std::string> build() {
    auto alpn = alpn_wire(options_.alpn);
    if (!alpn) return std::unexpected(alpn.error());
    impl_->alpn = std::move(*alpn);
    impl_->tickets = options_.tickets;
    if (!impl_->tickets) {
      impl_->own_tickets = std::make_unique<TicketKeys>(impl_->clock);
      impl_->tickets = impl_->own_tickets.get();
    }
    auto clients = ClientChecks::load(options_.clients);
    if (!clients) return std::unexpected(clients.error());
    clients_ = std::move(*clients);
    KeyFiles read_afresh;
    for (const TlsCertificate& files : options_.certificates) {
      auto served = load(files, options_.keys ? *options_.keys : read_afresh);
      if (!served) return std::unexpected(served.error());
      impl_->covered.push_back(served->covers);
      if (files.staple) impl_->staples.push_back({served->leaf.get(), files.staple});
      certificates_.push_back(std::move(*served));
    }
    const std::map<std::string, Group> groups = group_by_name(certificates_);
    auto standard = default_group(groups, certificates_, options_.default_name);
    if (!standard) return std::unexpected(standard.error());
    context_of(*standard);
    for (const auto& [name, group] : groups) impl_->by_name.emplace(name, context_of(group));
    if (!wrong_.empty()) return std::unexpected(std::move(wrong_));
    return std::move(impl_);
  }

 private:
  std::size_t context_of(const Group& group) {
    const auto [found, is_new] = contexts_.try_emplace(group, impl_->contexts.size());
    if (!is_new) return found->second;
    ContextPtr context(SSL_CTX_new(TLS_server_method()));
    VCHECK(context);
    set_common(context.get());
    set_server(context.get(), options_, clients_, *impl_);
    std::vector<std::size_t>& indices = impl_->certificates.emplace_back();
    for (const auto& [algorithm, index] : group) {
      install(context.get(), index);
      indices.push_back(index);
    }
    std::ranges::sort(indices);
    impl_->contexts.push_back(std::move(context));
    return found->second;
  }

  void install(SSL_CTX* context, std::size_t index) {
    const Served& served = certificates_[index];
    ERR_clear_error();
    if (SSL_CTX_use_cert_and_key(context, served.leaf.get(), served.key.get(), served.chain.get(), 1) == 1) {
      return;
    }
    wrong_ = fmt::format("cannot use certificate chain {}: {}", options_.certificates[index].chain_file,
                         openssl_reason());
  }

  const TlsServerOptions& options_;
  std::unique_ptr<TlsServer::Impl> impl_ = std::make_unique<TlsServer::Impl>();
  std::vector<Served> certificates_;
  std::map<Group, std::size_t> contexts_;
  ClientChecks clients_;
  std::string wrong_;
};

}  // namespace

std::optional<std::size_t> TlsServer::Impl::find(std::string_view host) const {
  const std::string name = to_lower(host.ends_with('.') ? host.substr(0, host.size() - 1) : host);
  if (const auto found = by_name.find(name); found != by_name.end()) return found->second;
  const auto wild = by_name.find(wildcard_of(name));
  return wild == by_name.end() ? std::nullopt : std::optional(wild->second);
}

TlsServer::TlsServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsServer::~TlsServer() = default;

std::span<const std::size_t> TlsServer::choose(std::string_view host) const {
  return impl_->certificates[impl_->choose(host)];
}

bool TlsServer::covers(std::string_view host) const { return impl_->find(host).has_value(); }

std::span<const CertificateNames> TlsServer::certificates() const { return impl_->covered; }

std::expected<std::shared_ptr<const TlsServer>, std::string> TlsServer::create(
    const TlsServerOptions& options) {
  if (options.certificates.empty()) return std::unexpected("TLS needs at least one certificate");
  auto impl = ServerBuilder(options).build();
  if (!impl) return std::unexpected(impl.error());
  return std::shared_ptr<const TlsServer>(new TlsServer(std::move(*impl)));
}

}  // namespace vignette::net
