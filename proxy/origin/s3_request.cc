#include "proxy/origin/s3_request.h"

#include <array>
#include <utility>

#include "base/digest.h"
#include "base/strings.h"

namespace vignette::proxy {
namespace {

using http::FieldId;

// Of a request: what decides between the object, a part of it and "not modified".
constexpr std::array kConditions = {
    FieldId::if_match, FieldId::if_none_match, FieldId::if_modified_since, FieldId::if_unmodified_since,
    FieldId::range,    FieldId::if_range};

}  // namespace

S3RequestWriter::S3RequestWriter(const conf::S3Options& options, S3Target target, SigningKeys& keys)
    : target_(std::move(target)),
      region_(options.region),
      requester_pays_(options.requester_pays),
      asks_for_checksums_(options.checksums != conf::S3Checksums::off),
      keys_(keys) {
  if (options.sse_customer_key.empty()) return;
  const Md5Digest digest = Md5().update(options.sse_customer_key.reveal()).finish();
  customer_key_ = base64_encode(options.sse_customer_key.reveal());
  customer_key_md5_ = base64_encode(as_view(digest));
}

// The x-amz-* fields besides those that every signature carries.
std::vector<SigV4Pair> S3RequestWriter::own_fields(const S3Ask& ask) const {
  std::vector<SigV4Pair> own;
  // A part has no checksum that could be compared with.
  const bool whole = ask.method == http::Method::get && !(ask.fields && ask.fields->has(FieldId::range));
  if (asks_for_checksums_ && whole) own.emplace_back("x-amz-checksum-mode", "ENABLED");
  if (requester_pays_) own.emplace_back("x-amz-request-payer", "requester");
  if (!customer_key_.empty()) {
    own.emplace_back("x-amz-server-side-encryption-customer-algorithm", "AES256");
    own.emplace_back("x-amz-server-side-encryption-customer-key", customer_key_);
    own.emplace_back("x-amz-server-side-encryption-customer-key-md5", customer_key_md5_);
  }
  return own;
}

void S3RequestWriter::write(const S3Ask& ask, const Credentials& credentials, WallTime now,
                            S3Request& out) const {
  std::vector<SigV4Pair> query;
  if (!ask.version.empty()) query.emplace_back("versionId", ask.version);
  const std::vector<SigV4Pair> own = own_fields(ask);
  std::vector<SigV4Pair> headers = own;
  headers.emplace_back("host", target_.host);
  out.path = canonical_path(ask.path);
  out.query = canonical_query(query);
  out.signature =
      sign_v4({.method = http::to_string(ask.method), .path = ask.path, .query = query, .headers = headers},
              credentials, region_, "s3", now, {}, &keys_);

  out.fields.clear();
  for (FieldId id : kConditions) {
    const http::Field* field = ask.fields ? ask.fields->find(id) : nullptr;
    if (field) out.fields.add(*field);
  }
  for (const auto& [name, value] : own) out.fields.add(name, value);
  out.fields.add("x-amz-content-sha256", out.signature.x_amz_content_sha256);
  out.fields.add("x-amz-date", out.signature.x_amz_date);
  if (!out.signature.x_amz_security_token.empty()) {
    out.fields.add("x-amz-security-token", out.signature.x_amz_security_token);
  }
  out.fields.add(FieldId::authorization, out.signature.authorization);
}

OriginRequest S3RequestWriter::as_origin_request(const S3Ask& ask, const S3Request& request) const {
  OriginRequest asked;
  asked.method = ask.method;
  asked.method_name = http::to_string(ask.method);
  asked.path = request.path;
  asked.query = request.query;
  asked.has_query = !request.query.empty();
  asked.host = target_.host;
  asked.fields = &request.fields;
  return asked;
}

}  // namespace vignette::proxy
