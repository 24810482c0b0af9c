// TLS configuration: certificates and what is agreed with a peer. Making a stream TLS is in listener.h
// (tls_accept) and connect.h (tls_connect). TLS 1.2 and 1.3, AEAD ciphers, X25519 and P-256; no session
// cache, stateless tickets. Texts of errors are for the person who wrote the configuration.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vignette::net {

enum class TlsVersion : std::uint8_t { tls1_2, tls1_3 };

struct TlsCertificate {
  std::string chain_file;  // PEM, the server's own first
  std::string key_file;    // PEM, matching
};

class KeyFiles;

using TicketKey = std::array<unsigned char, 80>;  // name 16, HMAC 32, AES 32

struct TlsServerOptions {
  std::vector<TlsCertificate> certificates = {};  // at least one; the first answers names that match none
  TlsVersion min_version = TlsVersion::tls1_2;
  std::vector<std::string> alpn = {};  // in order of preference; none of the client's: goes on without ALPN
  // Shared by several TlsServers (a worker each) so that a ticket of one resumes at the other. Default:
  // random.
  std::optional<TicketKey> ticket_key = {};
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

  // Which certificate (index into the options) a client naming `host` gets: exact, then one-level wildcard,
  // then 0. Case-insensitive.
  std::size_t choose(std::string_view host) const;
  // Whether one of them names `host`.
  bool covers(std::string_view host) const;

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

TicketKey random_ticket_key();

// A self-signed ECDSA P-256 certificate for these names and addresses (at least one), valid for a year from
// now. The key file is created with mode 0600. The error names the file.
std::expected<void, std::string> make_self_signed(std::span<const std::string> hosts,
                                                  const std::string& chain_path, const std::string& key_path);

// What the first certificate of a PEM file covers: DNS names (lower case, wildcards as they are) and
// addresses.
struct CertificateNames {
  std::vector<std::string> names;
  std::int64_t not_before = 0;  // Unix seconds
  std::int64_t not_after = 0;
};
std::expected<CertificateNames, std::string> certificate_names(const std::string& chain_file);

// "example.com" is covered by "example.com" and "*.com", "a.b.c" not by "*.c". Case-insensitive.
bool name_matches(std::string_view pattern, std::string_view host);

}  // namespace vignette::net
