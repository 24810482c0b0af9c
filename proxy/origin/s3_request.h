// What a store is sent: the target, the fields and the signature of one request.
//
// Signed are Host and every x-amz-* field, as S3 demands. Conditions and Range are not: S3 does not ask for
// it, and they change neither who asks nor which object.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "conf/config.h"
#include "http/message.h"
#include "proxy/origin/origin.h"
#include "proxy/origin/s3_target.h"
#include "proxy/origin/sigv4.h"

namespace vignette::proxy {

struct S3Ask {
  http::Method method = http::Method::get;  // or head
  std::string_view path;                    // decoded, with the target's prefix
  std::string_view version;                 // decoded; empty: the current one
  const http::FieldList* fields = nullptr;  // of the request this is for; null: none
};

// Not to be moved: its fields are views into it, and into the S3Ask's fields.
struct S3Request {
  S3Request() = default;
  S3Request(const S3Request&) = delete;
  S3Request& operator=(const S3Request&) = delete;

  std::string path;   // encoded as it is signed
  std::string query;  // the same; may be empty
  SigV4Headers signature;
  http::FieldList fields;
};

// Immutable after construction but for the signing keys, which are shared and Thread-safe.
class S3RequestWriter {
 public:
  // `keys` outlives it.
  S3RequestWriter(const conf::S3Options& options, S3Target target, SigningKeys& keys);

  const S3Target& target() const { return target_; }
  // Fills `out`, also when it was used before.
  void write(const S3Ask& ask, const Credentials& credentials, WallTime now, S3Request& out) const;
  // As an origin's request; valid as long as `request`.
  OriginRequest as_origin_request(const S3Ask& ask, const S3Request& request) const;

 private:
  std::vector<SigV4Pair> own_fields(const S3Ask& ask) const;

  const S3Target target_;
  const std::string region_;
  const bool requester_pays_;
  const bool asks_for_checksums_;
  // Of a customer's key: in base64, and the base64 of its MD5. Empty: none.
  std::string customer_key_;
  std::string customer_key_md5_;
  SigningKeys& keys_;
};

}  // namespace vignette::proxy
