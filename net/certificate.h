// What a certificate that has been read says. Internal to net/.
#pragma once

#include "net/openssl_handles.h"
#include "net/tls.h"

namespace vignette::net {

CertificateNames names_of(X509* certificate);

}  // namespace vignette::net
