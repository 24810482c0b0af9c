// AWS Signature Version 4, in headers. Pure: time and keys are handed in.
//
// Paths and query pairs are given decoded, as raw bytes; the encoding that is signed is the one to send, so
// build the request target with canonical_path() and canonical_query().
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/hmac.h"
#include "proxy/origin/credentials.h"

namespace vignette::proxy {

// SHA-256 of nothing, in hex: the payload hash of a request without a body.
inline constexpr std::string_view kEmptyPayloadHash =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

using SigV4Pair = std::pair<std::string_view, std::string_view>;

// Views must stay valid during the call only.
struct SigV4Request {
  std::string_view method;             // upper case
  std::string_view path;               // decoded, absolute; empty means "/"
  std::span<const SigV4Pair> query;    // decoded, any order
  std::span<const SigV4Pair> headers;  // to be signed; must hold `host`; not the x-amz-* ones listed below
  std::string_view payload_hash = kEmptyPayloadHash;  // hex, or "UNSIGNED-PAYLOAD"
};

struct SigV4Options {
  bool normalize_path = false;      // false for S3, where "a//b" and "a/./b" are keys of their own
  bool sign_content_sha256 = true;  // S3 wants x-amz-content-sha256 sent and signed
};

// Header values to add to the request; empty ones are not sent.
struct SigV4Headers {
  std::string authorization;
  std::string x_amz_date;
  std::string x_amz_content_sha256;
  std::string x_amz_security_token;
};

// What the signature is made of, step by step; for tests and for the operator who compares with S3's answer.
struct SigV4Trace {
  std::string canonical_request;
  std::string signed_headers;
  std::string string_to_sign;
  std::string signature;
};

// Percent-encodes all but unreserved characters (RFC 3986 §2.3) with upper-case hex; '/' stays when asked.
std::string sigv4_encode(std::string_view bytes, bool keep_slash);
std::string canonical_path(std::string_view path, bool normalize = false);
std::string canonical_query(std::span<const SigV4Pair> query);

// The keys that sign, derived once for each day, region, service and secret and kept for the next request.
// Thread-safe.
class SigningKeys {
 public:
  static constexpr std::size_t kKept = 8;  // around midnight, and while credentials change, there are a few

  // `day` is YYYYMMDD.
  Sha256Digest key(std::string_view secret, std::string_view day, std::string_view region,
                   std::string_view service);
  std::uint64_t derived() const;  // how often a key had to be computed

 private:
  struct Kept {
    std::string scope;    // day, region and service
    Sha256Digest secret;  // SHA-256 of it
    Sha256Digest key;
  };
  mutable std::mutex mutex_;
  std::vector<Kept> kept_;  // the newest last
  std::uint64_t derived_ = 0;
};

// Loop-thread only. `keys`, when given, outlives it and may be shared.
class Signer {
 public:
  Signer(Credentials credentials, std::string region, std::string service = "s3", SigV4Options options = {},
         SigningKeys* keys = nullptr);
  Signer(const Signer&) = delete;
  Signer& operator=(const Signer&) = delete;

  SigV4Headers sign(const SigV4Request& request, WallTime now);
  SigV4Trace trace_headers(const SigV4Request& request, WallTime now);

  const Credentials& credentials() const { return credentials_; }

 private:
  SigV4Trace trace(const SigV4Request& request, std::string_view query, std::string_view timestamp,
                   std::span<const SigV4Pair> headers);
  std::string scope(std::string_view timestamp) const;

  Credentials credentials_;
  std::string region_;
  std::string service_;
  SigV4Options options_;
  SigningKeys own_keys_;
  SigningKeys& keys_;
};

// One signature without keeping a Signer.
SigV4Headers sign_v4(const SigV4Request& request, const Credentials& credentials, std::string_view region,
                     std::string_view service, WallTime now, SigV4Options options = {},
                     SigningKeys* keys = nullptr);

}  // namespace vignette::proxy
