// TLS configuration: certificates and what is agreed with a peer. Making a stream TLS is in listener.h
// (tls_accept) and connect.h (tls_connect). TLS 1.2 and 1.3, AEAD ciphers, X25519 and P-256; no session
// cache, stateless tickets. Texts of errors are for the person who wrote the configuration.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vignette::net {

enum class TlsVersion : std::uint8_t { tls1_2, tls1_3 };

class Staple;

struct TlsCertificate {
  std::string chain_file;                     // PEM, the server's own first
  std::string key_file;                       // PEM, matching
  std::shared_ptr<const Staple> staple = {};  // sent along to clients that ask for it; null: nothing is
};

// What a certificate covers: DNS names (lower case, wildcards as they are) and addresses.
struct CertificateNames {
  std::vector<std::string> names;
  std::string algorithm;        // of its key: "ECDSA", "RSA", …
  std::int64_t not_before = 0;  // Unix seconds
  std::int64_t not_after = 0;
};

class KeyFiles;
class TicketKeys;

// Whether clients show certificates.
enum class ClientCertificates : std::uint8_t { off, optional, required };
struct ClientVerification {
  ClientCertificates mode = ClientCertificates::off;
  std::string ca_file = {};   // PEM; with the other modes
  std::string crl_file = {};  // PEM, a list of each authority in a chain; empty: nothing is revoked
};

struct TlsServerOptions {
  std::vector<TlsCertificate> certificates = {};  // at least one
  // A name that a certificate covers: what answers clients that name nothing, or nothing known. Empty: the
  // first certificate, and those of other algorithms for its first name.
  std::string default_name = {};
  TlsVersion min_version = TlsVersion::tls1_2;
  ClientVerification clients = {};
  std::vector<std::string> alpn = {};  // in order of preference; none of the client's: goes on without ALPN
  // Shared by several TlsServers, so that a ticket of one resumes at the other; outlives them. Null: keys of
  // its own.
  TicketKeys* tickets = nullptr;
  std::chrono::seconds ticket_life = std::chrono::hours(4);
  KeyFiles* keys = nullptr;  // reads the key files, and may remember them; null: each is read afresh
};

// Immutable after construction. One for each worker avoids contention on OpenSSL's counters.
class TlsServer {
 public:
  // The error names the file and what is wrong with it.
  static std::expected<std::shared_ptr<const TlsServer>, std::string> create(const TlsServerOptions& options);
  ~TlsServer();
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  // The certificates (indices into the options, one of an algorithm) of which a client naming `host` gets the
  // one that it can check, ECDSA rather than RSA. Of an algorithm: the first that covers the name exactly,
  // then by a one-level wildcard; for a name that none covers the default's. Case-insensitive, never empty;
  // good as long as this.
  std::span<const std::size_t> choose(std::string_view host) const;

  // Whether one of them names `host`.
  bool covers(std::string_view host) const;

  // What each certificate of the options covers.
  std::span<const CertificateNames> certificates() const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit TlsServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct TlsClientOptions {
  bool verify = true;
  std::string ca_file = {};            // PEM; empty: the system's
  std::vector<std::string> alpn = {};  // offered, in order
};

// Immutable after construction.
class TlsClient {
 public:
  static std::expected<std::shared_ptr<const TlsClient>, std::string> create(const TlsClientOptions& options);
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit TlsClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// A self-signed ECDSA P-256 certificate for these names and addresses (at least one), valid for a year from
// now. The key file is created with mode 0600. The error names the file.
std::expected<void, std::string> make_self_signed(std::span<const std::string> hosts,
                                                  const std::string& chain_path, const std::string& key_path);

// Of the first certificate of a PEM file.
std::expected<CertificateNames, std::string> certificate_names(const std::string& chain_file);

}  // namespace vignette::net
