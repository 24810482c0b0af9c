// How a server checks the certificates of its clients. Internal to net/.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <expected>
#include <string>

#include "net/openssl_handles.h"
#include "net/tls.h"

namespace vignette::net {

// Immutable after construction.
class ClientChecks {
 public:
  ClientChecks() = default;
  // The error names the file.
  static std::expected<ClientChecks, std::string> load(const ClientVerification& options);

  // Has the context ask for certificates, and resume only sessions that were checked by the same files: else
  // a ticket of a listener that asks for none, or of before a revocation, would be a way in.
  void set(SSL_CTX* context) const;

 private:
  ClientCertificates mode_ = ClientCertificates::off;
  StorePtr store_;
  NameListPtr names_;
  std::array<unsigned char, 32> session_group_{};
};

}  // namespace vignette::net
