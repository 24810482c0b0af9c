#include "net/client_checks.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <fmt/core.h>

#include "base/check.h"
#include "net/key_files.h"
#include "net/tls_context.h"

namespace vignette::net {
namespace {

static_assert(SSL_MAX_SID_CTX_LENGTH == 32);

std::expected<std::string, std::string> bytes_of(const char* what, const std::string& path) {
  KeyFiles files;
  auto bytes = files.read(path);
  if (!bytes) return std::unexpected(fmt::format("cannot use {} {}: {}", what, path, bytes.error()));
  return bytes;
}

std::string add_authorities(const std::string& bytes, X509_STORE* store, STACK_OF(X509_NAME) * names) {
  const BioPtr bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  int count = 0;
  while (const CertificatePtr authority{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    if (X509_STORE_add_cert(store, authority.get()) != 1) return openssl_reason();
    X509_NAME* name = X509_NAME_dup(X509_get_subject_name(authority.get()));
    VCHECK(name && sk_X509_NAME_push(names, name) > 0);
    ++count;
  }
  const std::string end = openssl_reason();
  return count > 0 ? std::string() : end;
}

std::string add_revocations(const std::string& bytes, X509_STORE* store) {
  const BioPtr bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  int count = 0;
  while (const RevocationsPtr list{PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr)}) {
    if (X509_STORE_add_crl(store, list.get()) != 1) return openssl_reason();
    ++count;
  }
  const std::string end = openssl_reason();
  X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  return count > 0 ? std::string() : end;
}

}  // namespace

std::expected<ClientChecks, std::string> ClientChecks::load(const ClientVerification& options) {
  ClientChecks checks;
  checks.mode_ = options.mode;
  if (options.mode == ClientCertificates::off) return checks;
  checks.store_.reset(X509_STORE_new());
  checks.names_.reset(sk_X509_NAME_new_null());
  ERR_clear_error();
  auto authorities = bytes_of("client CA file", options.ca_file);
  if (!authorities) return std::unexpected(authorities.error());
  std::string wrong = add_authorities(*authorities, checks.store_.get(), checks.names_.get());
  if (!wrong.empty()) {
    return std::unexpected(fmt::format("cannot use client CA file {}: {}", options.ca_file, wrong));
  }
  std::string checked = "certificates of:" + *authorities;
  if (!options.crl_file.empty()) {
    auto revocations = bytes_of("CRL file", options.crl_file);
    if (!revocations) return std::unexpected(revocations.error());
    wrong = add_revocations(*revocations, checks.store_.get());
    if (!wrong.empty()) {
      return std::unexpected(fmt::format("cannot use CRL file {}: {}", options.crl_file, wrong));
    }
    checked += "but not:" + *revocations;
  }
  if (options.mode == ClientCertificates::optional) checked += "or none";
  unsigned size = 0;
  VCHECK(EVP_Digest(checked.data(), checked.size(), checks.session_group_.data(), &size, EVP_sha256(),
                    nullptr) == 1);
  return checks;
}

void ClientChecks::set(SSL_CTX* context) const {
  const auto size = static_cast<unsigned>(session_group_.size());
  VCHECK(SSL_CTX_set_session_id_context(context, session_group_.data(), size) == 1);
  if (mode_ == ClientCertificates::off) return;
  const int strict = mode_ == ClientCertificates::required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | strict, nullptr);
  SSL_CTX_set1_cert_store(context, store_.get());
  SSL_CTX_set_client_CA_list(context, SSL_dup_CA_list(names_.get()));
}

}  // namespace vignette::net
