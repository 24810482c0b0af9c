// What an issuer says of a certificate (OCSP, RFC 6960), in the form that a handshake carries (RFC 6066
// section 8). Times are seconds since 1970. Texts of errors are for an operator, without the name of a file.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace vignette::net {

// "Not revoked", signed by the issuer or by whom it has entrusted with that.
struct OcspAnswer {
  std::string der;
  std::int64_t this_update = 0;
  std::int64_t next_update = 0;  // it is not used from then on; a day later when the answer does not say
};

struct OcspRequest {
  std::string url;  // of the responder that the certificate names; "http://…"
  std::string der;  // says which certificate is meant
};

// The certificate is the first of the PEM file, its issuer the second. May block.
std::expected<OcspRequest, std::string> make_ocsp_request(const std::string& chain_file);
// Checks all that a client would: that it is about this certificate and good, its dates and its signature.
std::expected<OcspAnswer, std::string> read_ocsp_answer(const std::string& chain_file, std::string_view der,
                                                        std::int64_t now);

// The answer that goes along with a certificate, replaced while handshakes read it. Thread-safe.
class Staple {
 public:
  void set(std::shared_ptr<const OcspAnswer> answer);
  // Null: there is none, or it is too old by now.
  std::shared_ptr<const OcspAnswer> get(std::int64_t now) const;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const OcspAnswer> answer_;
};

}  // namespace vignette::net
