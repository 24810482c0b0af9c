#include "net/ocsp.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>

#include <ctime>

#include <fmt/core.h>

#include "base/check.h"
#include "net/certificate.h"
#include "net/tls_context.h"

namespace vignette::net {
namespace {

using ResponsePtr = std::unique_ptr<OCSP_RESPONSE, OpensslFree<OCSP_RESPONSE_free>>;
using BasicPtr = std::unique_ptr<OCSP_BASICRESP, OpensslFree<OCSP_BASICRESP_free>>;
using RequestPtr = std::unique_ptr<OCSP_REQUEST, OpensslFree<OCSP_REQUEST_free>>;
using CertificateIdPtr = std::unique_ptr<OCSP_CERTID, OpensslFree<OCSP_CERTID_free>>;
struct StringsFree {
  void operator()(STACK_OF(OPENSSL_STRING) * strings) const { X509_email_free(strings); }
};
using StringsPtr = std::unique_ptr<STACK_OF(OPENSSL_STRING), StringsFree>;

constexpr long kClockSkew = 300;  // seconds that clocks may differ
constexpr std::int64_t kDay = 24 * 3600;

using Failure = std::unexpected<std::string>;

std::int64_t seconds_of(const ASN1_GENERALIZEDTIME* time) {
  std::tm parts{};
  return time && ASN1_TIME_to_tm(time, &parts) == 1 ? ::timegm(&parts) : 0;
}

std::expected<CertificateChain, std::string> read_with_issuer(const std::string& chain_file) {
  auto chain = read_chain(chain_file);
  if (chain && sk_X509_num(chain->rest.get()) == 0) {
    return Failure("the chain does not hold the issuer's certificate");
  }
  return chain;
}

CertificateIdPtr id_of(const CertificateChain& chain) {
  CertificateIdPtr id(OCSP_cert_to_id(nullptr, chain.leaf.get(), sk_X509_value(chain.rest.get(), 0)));
  VCHECK(id);
  return id;
}

// Signed by the issuer, or with a certificate that it has issued for this.
bool is_signed(OCSP_BASICRESP* answer, const CertificateChain& chain) {
  const StorePtr store(X509_STORE_new());
  VCHECK(store && X509_STORE_add_cert(store.get(), sk_X509_value(chain.rest.get(), 0)) == 1);
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);  // the issuer itself is trusted here
  return OCSP_basic_verify(answer, chain.rest.get(), store.get(), 0) == 1;
}

}  // namespace

std::expected<OcspRequest, std::string> make_ocsp_request(const std::string& chain_file) {
  const auto chain = read_with_issuer(chain_file);
  if (!chain) return Failure(chain.error());
  OcspRequest request;
  const StringsPtr urls(X509_get1_ocsp(chain->leaf.get()));
  for (int i = 0; urls && i < sk_OPENSSL_STRING_num(urls.get()) && request.url.empty(); ++i) {
    const std::string_view url = sk_OPENSSL_STRING_value(urls.get(), i);
    if (url.starts_with("http://")) request.url = url;
  }
  if (request.url.empty()) return Failure("the certificate names no OCSP responder that answers over http");
  const RequestPtr asked(OCSP_REQUEST_new());
  VCHECK(asked && OCSP_request_add0_id(asked.get(), id_of(*chain).release()));
  unsigned char* der = nullptr;
  const int size = i2d_OCSP_REQUEST(asked.get(), &der);
  VCHECK(size > 0);
  request.der.assign(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return request;
}

std::expected<OcspAnswer, std::string> read_ocsp_answer(const std::string& chain_file, std::string_view der,
                                                        std::int64_t now) {
  const auto chain = read_with_issuer(chain_file);
  if (!chain) return Failure(chain.error());
  ERR_clear_error();
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const ResponsePtr response(d2i_OCSP_RESPONSE(nullptr, &at, static_cast<long>(der.size())));
  if (!response) return Failure(fmt::format("it is no OCSP answer: {}", openssl_reason()));
  if (const int status = OCSP_response_status(response.get()); status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    return Failure(fmt::format("the responder says \"{}\"", OCSP_response_status_str(status)));
  }
  const BasicPtr basic(OCSP_response_get1_basic(response.get()));
  if (!basic) return Failure(fmt::format("it is no OCSP answer: {}", openssl_reason()));
  if (!is_signed(basic.get(), *chain)) {
    return Failure(fmt::format("its signature is not the issuer's: {}", openssl_reason()));
  }
  int status = V_OCSP_CERTSTATUS_UNKNOWN;
  int reason = 0;
  ASN1_GENERALIZEDTIME* this_update = nullptr;
  ASN1_GENERALIZEDTIME* next_update = nullptr;
  if (OCSP_resp_find_status(basic.get(), id_of(*chain).get(), &status, &reason, nullptr, &this_update,
                            &next_update) != 1) {
    return Failure("it is about another certificate");
  }
  if (status != V_OCSP_CERTSTATUS_GOOD) {
    return Failure(fmt::format("it says that the certificate is {}", OCSP_cert_status_str(status)));
  }
  OcspAnswer answer{.der = std::string(der),
                    .this_update = seconds_of(this_update),
                    .next_update = next_update ? seconds_of(next_update) : seconds_of(this_update) + kDay};
  if (answer.this_update > now + kClockSkew) return Failure("it is of the future");
  if (answer.next_update <= now) return Failure("it is too old");
  return answer;
}

void Staple::set(std::shared_ptr<const OcspAnswer> answer) {
  const std::lock_guard lock(mutex_);
  answer_ = std::move(answer);
}

std::shared_ptr<const OcspAnswer> Staple::get(std::int64_t now) const {
  const std::lock_guard lock(mutex_);
  return answer_ && now < answer_->next_update ? answer_ : nullptr;
}

}  // namespace vignette::net
