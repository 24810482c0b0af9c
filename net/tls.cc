#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstring>
#include <memory>

#include <fmt/core.h>

#include "base/check.h"
#include "net/tls_context.h"

namespace vignette::net {
namespace {

constexpr const char* kTls12Ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
constexpr const char* kTls13Ciphers =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
constexpr const char* kGroups = "X25519:P-256";

}  // namespace

std::string openssl_reason() {
  // The first is the cause; those after it say who asked ("PEM lib").
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE) {
    return "it holds no such thing in PEM form";
  }
  if (ERR_SYSTEM_ERROR(code)) return std::strerror(ERR_GET_REASON(code));
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

void ContextDeleter::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

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

}  // namespace vignette::net
