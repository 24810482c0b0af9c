// What TlsServer and TlsClient hold, and what both are made with. Internal to net/.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "net/ocsp.h"
#include "net/ticket_keys.h"
#include "net/tls.h"

struct ssl_ctx_st;
struct x509_st;

namespace vignette::net {

struct ContextDeleter {
  void operator()(ssl_ctx_st* context) const;
};
using ContextPtr = std::unique_ptr<ssl_ctx_st, ContextDeleter>;

struct StapledLeaf {
  const x509_st* leaf;  // one of the contexts'
  std::shared_ptr<const Staple> staple;
};

struct TlsServer::Impl {
  SystemClock clock;
  std::unique_ptr<TicketKeys> own_tickets;  // null: they are somebody else's
  TicketKeys* tickets = nullptr;
  // One for each set of certificates that some name has; the first is for clients that name nothing known.
  std::vector<ContextPtr> contexts;
  std::vector<std::vector<std::size_t>> certificates;    // of each context, ascending
  std::vector<CertificateNames> covered;                 // by each certificate
  std::unordered_map<std::string, std::size_t> by_name;  // lower case; wildcards as "*.example.com"
  std::vector<unsigned char> alpn;                       // as on the wire
  std::vector<StapledLeaf> staples;
  // A context, by the name or a wildcard that covers it.
  std::optional<std::size_t> find(std::string_view host) const;
  std::size_t choose(std::string_view host) const { return find(host).value_or(0); }
};

struct TlsClient::Impl {
  ContextPtr context;
  bool verify = true;
};

// Ciphers, groups and modes of either side.
void set_common(ssl_ctx_st* context);
std::expected<std::vector<unsigned char>, std::string> alpn_wire(const std::vector<std::string>& protocols);
// The newest error of OpenSSL in words; its queue is empty afterwards.
std::string openssl_reason();

}  // namespace vignette::net
