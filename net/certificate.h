// What a certificate that has been read says. Internal to net/.
#pragma once

#include "net/openssl_handles.h"
#include "net/tls.h"

namespace vignette::net {

struct CertificateChain {
  CertificatePtr leaf;
  ChainPtr rest;  // what follows it in the file
};
// The error is OpenSSL's reason, without the path. May block.
std::expected<CertificateChain, std::string> read_chain(const std::string& path);

CertificateNames names_of(X509* certificate);

}  // namespace vignette::net
