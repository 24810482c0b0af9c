#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <memory>
#include <unordered_map>

#include <fmt/core.h>

#include "base/check.h"
#include "base/strings.h"
#include "net/key_files.h"
#include "net/tls_context.h"

namespace vignette::net {
namespace {

constexpr const char* kTls12Ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
constexpr const char* kTls13Ciphers =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
constexpr const char* kGroups = "X25519:P-256";

std::string openssl_reason() {
  // The first is the cause; those after it say who asked ("PEM lib").
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE) {
    return "it holds no such thing in PEM form";
  }
  const char* why = ERR_reason_error_string(code);
  return why ? why : "unknown error";
}

void set_common(SSL_CTX* context) {
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_read_ahead(context, 1);
  VCHECK(SSL_CTX_set_cipher_list(context, kTls12Ciphers) == 1);
  VCHECK(SSL_CTX_set_ciphersuites(context, kTls13Ciphers) == 1);
  VCHECK(SSL_CTX_set1_groups_list(context, kGroups) == 1);
}

std::expected<std::vector<unsigned char>, std::string> alpn_wire(const std::vector<std::string>& protocols) {
  std::vector<unsigned char> wire;
  for (const std::string& name : protocols) {
    if (name.empty() || name.size() > 255) return std::unexpected("an ALPN name has 1 to 255 bytes");
    wire.push_back(static_cast<unsigned char>(name.size()));
    wire.insert(wire.end(), name.begin(), name.end());
  }
  return wire;
}

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

std::string use_key(SSL_CTX* context, const std::string& path, KeyFiles& keys) {
  const auto text = keys.read(path);
  if (!text) return text.error();
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(text->data(), static_cast<int>(text->size())), BIO_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  return key && SSL_CTX_use_PrivateKey(context, key.get()) == 1 ? std::string() : openssl_reason();
}

std::expected<ContextPtr, std::string> load(const TlsCertificate& files, KeyFiles& keys) {
  ContextPtr context(SSL_CTX_new(TLS_server_method()));
  VCHECK(context);
  set_common(context.get());
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.chain_file.c_str()) != 1) {
    return std::unexpected(
        fmt::format("cannot use certificate chain {}: {}", files.chain_file, openssl_reason()));
  }
  if (const std::string wrong = use_key(context.get(), files.key_file, keys); !wrong.empty()) {
    return std::unexpected(
        fmt::format("cannot use key {} with {}: {}", files.key_file, files.chain_file, wrong));
  }
  return context;
}

void set_server(SSL_CTX* context, const TlsServerOptions& options, const TicketKey& tickets,
                TlsServer::Impl& impl) {
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_min_proto_version(context,
                                options.min_version == TlsVersion::tls1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 1);
  TicketKey copy = tickets;
  VCHECK(SSL_CTX_set_tlsext_ticket_keys(context, copy.data(), copy.size()) == 1);
  SSL_CTX_set_tlsext_servername_callback(context, select_certificate);
  SSL_CTX_set_tlsext_servername_arg(context, &impl);
  if (!impl.alpn.empty()) SSL_CTX_set_alpn_select_cb(context, select_alpn, &impl);
}

}  // namespace

void ContextDeleter::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

std::optional<std::size_t> TlsServer::Impl::find(std::string_view host) const {
  const std::string name = to_lower(host.ends_with('.') ? host.substr(0, host.size() - 1) : host);
  if (const auto found = by_name.find(name); found != by_name.end()) return found->second;
  const std::size_t dot = name.find('.');
  if (dot == name.npos || dot == 0) return std::nullopt;
  const auto wild = by_name.find("*" + name.substr(dot));
  return wild == by_name.end() ? std::nullopt : std::optional(wild->second);
}

TlsServer::TlsServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsServer::~TlsServer() = default;
std::size_t TlsServer::choose(std::string_view host) const { return impl_->choose(host); }
bool TlsServer::covers(std::string_view host) const { return impl_->find(host).has_value(); }

std::expected<std::shared_ptr<const TlsServer>, std::string> TlsServer::create(
    const TlsServerOptions& options) {
  if (options.certificates.empty()) return std::unexpected("TLS needs at least one certificate");
  auto impl = std::make_unique<Impl>();
  auto alpn = alpn_wire(options.alpn);
  if (!alpn) return std::unexpected(alpn.error());
  impl->alpn = std::move(*alpn);
  KeyFiles read_afresh;
  const TicketKey tickets = options.ticket_key ? *options.ticket_key : random_ticket_key();
  for (const TlsCertificate& files : options.certificates) {
    auto context = load(files, options.keys ? *options.keys : read_afresh);
    if (!context) return std::unexpected(context.error());
    auto covered = certificate_names(files.chain_file);
    if (!covered) return std::unexpected(covered.error());
    set_server(context->get(), options, tickets, *impl);
    for (std::string& name : covered->names)
      impl->by_name.try_emplace(std::move(name), impl->contexts.size());
    impl->contexts.push_back(std::move(*context));
  }
  return std::shared_ptr<const TlsServer>(new TlsServer(std::move(impl)));
}

TlsClient::TlsClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsClient::~TlsClient() = default;

std::expected<std::shared_ptr<const TlsClient>, std::string> TlsClient::create(
    const TlsClientOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->verify = options.verify;
  impl->context.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* context = impl->context.get();
  VCHECK(context);
  set_common(context);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify(context, options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  ERR_clear_error();
  if (!options.ca_file.empty()) {
    if (SSL_CTX_load_verify_file(context, options.ca_file.c_str()) != 1) {
      return std::unexpected(fmt::format("cannot use CA file {}: {}", options.ca_file, openssl_reason()));
    }
  } else if (options.verify) {
    SSL_CTX_set_default_verify_paths(context);
  }
  auto alpn = alpn_wire(options.alpn);
  if (!alpn) return std::unexpected(alpn.error());
  if (!alpn->empty()) SSL_CTX_set_alpn_protos(context, alpn->data(), static_cast<unsigned>(alpn->size()));
  return std::shared_ptr<const TlsClient>(new TlsClient(std::move(impl)));
}

TicketKey random_ticket_key() {
  TicketKey key;
  VCHECK(RAND_bytes(key.data(), static_cast<int>(key.size())) == 1);
  return key;
}

bool name_matches(std::string_view pattern, std::string_view host) {
  const std::string want = to_lower(pattern);
  const std::string have = to_lower(host);
  if (want == have) return true;
  const std::size_t dot = have.find('.');
  return want.starts_with("*.") && dot != have.npos && dot > 0 && have.substr(dot) == want.substr(1);
}

}  // namespace vignette::net
