// What TlsServer and TlsClient hold. Internal to net/.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/tls.h"

struct ssl_ctx_st;

namespace vignette::net {

struct ContextDeleter {
  void operator()(ssl_ctx_st* context) const;
};
using ContextPtr = std::unique_ptr<ssl_ctx_st, ContextDeleter>;

struct TlsServer::Impl {
  std::vector<ContextPtr> contexts;                      // one a certificate
  std::unordered_map<std::string, std::size_t> by_name;  // lower case; wildcards as "*.example.com"
  std::vector<unsigned char> alpn;                       // as on the wire
  std::optional<std::size_t> find(std::string_view host) const;
  std::size_t choose(std::string_view host) const { return find(host).value_or(0); }
};

struct TlsClient::Impl {
  ContextPtr context;
  bool verify = true;
};

}  // namespace vignette::net
