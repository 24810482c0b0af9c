// Certificates as files: made for a first start, and read for what they cover.
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>

#include <fmt/core.h>

#include "base/check.h"
#include "base/fd.h"
#include "net/address.h"
#include "net/certificate.h"
#include "net/tls.h"
#include "net/tls_context.h"

namespace vignette::net {
namespace {

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using FilePtr = std::unique_ptr<std::FILE, FileCloser>;

constexpr long kYear = 365L * 24 * 3600;

std::unexpected<std::string> system_error(const char* what, const std::string& path) {
  return std::unexpected(fmt::format("{} {}: {}", what, path, std::strerror(errno)));
}

bool add_extension(X509* certificate, int kind, const std::string& value) {
  ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// A host becomes part of OpenSSL's extension grammar, where a comma begins the next entry.
bool is_plain_host(const std::string& host) {
  return !host.empty() && host.size() <= 253 && std::ranges::all_of(host, [](unsigned char c) {
    return std::isalnum(c) || c == '.' || c == '-' || c == '_' || c == '*' || c == ':';
  });
}

CertificatePtr self_signed(std::span<const std::string> hosts, EVP_PKEY* key) {
  CertificatePtr certificate(X509_new());
  if (!certificate) return nullptr;
  X509* x = certificate.get();
  std::int64_t serial = 0;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1) return nullptr;
  std::string names;
  for (const std::string& host : hosts) {
    names += fmt::format("{}{}:{}", names.empty() ? "" : ",", IpAddress::parse(host) ? "IP" : "DNS", host);
  }
  const std::string common = hosts.front().substr(0, 64);  // ub-common-name, RFC 5280
  X509_NAME* subject = X509_get_subject_name(x);
  const bool made =
      X509_set_version(x, X509_VERSION_3) == 1 &&
      ASN1_INTEGER_set_int64(X509_get_serialNumber(x), serial & 0x7fffffffffffffff) == 1 &&
      X509_gmtime_adj(X509_getm_notBefore(x), -3600) && X509_gmtime_adj(X509_getm_notAfter(x), kYear) &&
      X509_set_pubkey(x, key) == 1 &&
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common.c_str()), -1, -1, 0) == 1 &&
      X509_set_issuer_name(x, subject) == 1 && add_extension(x, NID_subject_alt_name, names) &&
      add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
      add_extension(x, NID_key_usage, "critical,digitalSignature") &&
      add_extension(x, NID_ext_key_usage, "serverAuth") && X509_sign(x, key, EVP_sha256()) > 0;
  return made ? std::move(certificate) : nullptr;
}

FilePtr create_file(const std::string& path, mode_t mode) {
  UniqueFd descriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!descriptor || ::fchmod(descriptor.get(), mode) != 0) return nullptr;
  FilePtr file(::fdopen(descriptor.get(), "w"));
  if (file) descriptor.release();
  return file;
}

void add_name(std::vector<std::string>& names, std::string name) {
  std::ranges::transform(name, name.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (!name.empty() && std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
}

std::string text_of(const ASN1_STRING* string) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
          static_cast<std::size_t>(ASN1_STRING_length(string))};
}

void collect_alternative_names(X509* certificate, std::vector<std::string>& into) {
  NamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int kind = 0;
    const auto* value = static_cast<const ASN1_STRING*>(
        GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &kind));
    if (kind == GEN_DNS) add_name(into, text_of(value));
    if (kind != GEN_IPADD) continue;
    const std::string raw = text_of(value);
    if (raw.size() == 4) add_name(into, IpAddress::from_v4(raw.data()).to_string());
    if (raw.size() == 16) add_name(into, IpAddress::from_v6(raw.data()).to_string());
  }
}

std::string algorithm_of(const EVP_PKEY* key) {
  if (!key) return "unknown";
  const int kind = EVP_PKEY_get_base_id(key);
  if (kind == EVP_PKEY_EC) return "ECDSA";
  return kind == EVP_PKEY_RSA ? "RSA" : OBJ_nid2sn(kind);
}

std::int64_t unix_time(const ASN1_TIME* time) {
  std::tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? ::timegm(&parts) : 0;
}

}  // namespace

std::expected<CertificateChain, std::string> read_chain(const std::string& path) {
  ERR_clear_error();
  const BioPtr file(BIO_new_file(path.c_str(), "r"));
  if (!file) return std::unexpected(openssl_reason());
  CertificateChain chain;
  chain.leaf.reset(PEM_read_bio_X509_AUX(file.get(), nullptr, nullptr, nullptr));
  if (!chain.leaf) return std::unexpected(openssl_reason());
  chain.rest.reset(sk_X509_new_null());
  while (CertificatePtr next{PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr)}) {
    VCHECK(sk_X509_push(chain.rest.get(), next.get()) > 0);
    (void)next.release();
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  std::string wrong = openssl_reason();
  if (!at_end) return std::unexpected(std::move(wrong));
  return chain;
}

CertificateNames names_of(X509* certificate) {
  CertificateNames result;
  collect_alternative_names(certificate, result.names);
  if (result.names.empty()) {
    char common[256];
    if (X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, common, sizeof common) >
        0) {
      add_name(result.names, common);
    }
  }
  result.algorithm = algorithm_of(X509_get0_pubkey(certificate));
  result.not_before = unix_time(X509_get0_notBefore(certificate));
  result.not_after = unix_time(X509_get0_notAfter(certificate));
  return result;
}

std::expected<void, std::string> make_self_signed(std::span<const std::string> hosts,
                                                  const std::string& chain_path,
                                                  const std::string& key_path) {
  if (hosts.empty()) return std::unexpected("a certificate needs at least one name");
  for (const std::string& host : hosts) {
    if (!is_plain_host(host)) return std::unexpected(fmt::format("\"{}\" is not a host name", host));
  }
  KeyPtr key(EVP_EC_gen("P-256"));
  const CertificatePtr certificate = key ? self_signed(hosts, key.get()) : nullptr;
  if (!certificate) {
    ERR_clear_error();
    return std::unexpected("OpenSSL cannot make a certificate for these names");
  }
  FilePtr key_file = create_file(key_path, 0600);
  if (!key_file ||
      PEM_write_PrivateKey(key_file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
      std::fflush(key_file.get()) != 0) {
    return system_error("cannot write key", key_path);
  }
  FilePtr chain_file = create_file(chain_path, 0644);
  if (!chain_file || PEM_write_X509(chain_file.get(), certificate.get()) != 1 ||
      std::fflush(chain_file.get()) != 0) {
    return system_error("cannot write certificate", chain_path);
  }
  return {};
}

std::expected<CertificateNames, std::string> certificate_names(const std::string& chain_file) {
  const FilePtr file(std::fopen(chain_file.c_str(), "re"));
  if (!file) return system_error("cannot open certificate", chain_file);
  const CertificatePtr certificate(PEM_read_X509(file.get(), nullptr, nullptr, nullptr));
  if (!certificate) {
    ERR_clear_error();
    return std::unexpected(fmt::format("no certificate in {}", chain_file));
  }
  return names_of(certificate.get());
}

}  // namespace vignette::net
