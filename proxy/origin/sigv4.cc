#include "proxy/origin/sigv4.h"

#include <fmt/core.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "base/hmac.h"
#include "base/strings.h"

namespace vignette::proxy {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::size_t kDayLength = 8;  // YYYYMMDD

// Outer white space goes, inner runs of it become one space.
std::string trimmed(std::string_view value) {
  std::string out;
  for (char c : value) {
    const bool blank = c == ' ' || c == '\t';
    if (blank && (out.empty() || out.back() == ' ')) continue;
    out += blank ? ' ' : c;
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

// RFC 3986 §5.2.4, and runs of '/' become one.
std::string without_dots(std::string_view path) {
  std::vector<std::string_view> kept;
  std::size_t begin = 0;
  while (begin <= path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view segment = path.substr(begin, end - begin);
    if (segment == ".." && !kept.empty()) kept.pop_back();
    if (!segment.empty() && segment != "." && segment != "..") kept.push_back(segment);
    begin = end + 1;
  }
  std::string out;
  for (std::string_view segment : kept) out.append("/").append(segment);
  const bool directory = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
  if (out.empty() || directory) out += '/';
  return out;
}

std::string timestamp_of(WallTime now) {
  const std::time_t seconds = now.time_since_epoch().count();
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[24];
  return {text, std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &utc)};
}

struct CanonicalHeaders {
  std::string block;  // "name:value\n" each
  std::string names;  // "a;b"
};

CanonicalHeaders canonical_headers(std::span<const SigV4Pair> headers) {
  std::multimap<std::string, std::string> sorted;  // equal names keep their order
  for (const auto& [name, value] : headers) sorted.emplace(to_lower(name), trimmed(value));
  CanonicalHeaders out;
  const std::string* previous = nullptr;
  for (const auto& [name, value] : sorted) {
    if (previous && *previous == name) {
      out.block.back() = ',';
    } else {
      out.block.append(name).append(":");
      out.names.append(out.names.empty() ? "" : ";").append(name);
    }
    out.block.append(value).append("\n");
    previous = &name;
  }
  return out;
}

// The pairs that every header signature carries besides the caller's own.
std::vector<SigV4Pair> headers_to_sign(const SigV4Request& request, const Credentials& credentials,
                                       const SigV4Options& options, std::string_view timestamp) {
  std::vector<SigV4Pair> headers(request.headers.begin(), request.headers.end());
  headers.emplace_back("x-amz-date", timestamp);
  if (options.sign_content_sha256) headers.emplace_back("x-amz-content-sha256", request.payload_hash);
  if (!credentials.session_token.empty()) {
    headers.emplace_back("x-amz-security-token", credentials.session_token);
  }
  return headers;
}

}  // namespace

std::string sigv4_encode(std::string_view bytes, bool keep_slash) {
  return percent_encode(bytes, keep_slash ? kUnreservedPath : kUnreserved);
}

std::string canonical_path(std::string_view path, bool normalize) {
  if (path.empty()) return "/";
  return normalize ? sigv4_encode(without_dots(path), true) : sigv4_encode(path, true);
}

std::string canonical_query(std::span<const SigV4Pair> query) {
  std::vector<std::pair<std::string, std::string>> encoded;
  for (const auto& [name, value] : query) {
    encoded.emplace_back(sigv4_encode(name, false), sigv4_encode(value, false));
  }
  std::ranges::sort(encoded);
  std::string out;
  for (const auto& [name, value] : encoded) {
    if (!out.empty()) out += '&';
    out.append(name).append("=").append(value);
  }
  return out;
}

Sha256Digest SigningKeys::key(std::string_view secret, std::string_view day, std::string_view region,
                              std::string_view service) {
  const std::string scope = fmt::format("{}/{}/{}", day, region, service);
  const Sha256Digest hashed = sha256(secret);
  std::lock_guard lock(mutex_);
  for (const Kept& kept : kept_) {
    if (kept.scope == scope && kept.secret == hashed) return kept.key;
  }
  Sha256Digest key = hmac_sha256(fmt::format("AWS4{}", secret), day);
  for (std::string_view step : {region, service, std::string_view("aws4_request")}) {
    key = hmac_sha256(as_view(key), step);
  }
  ++derived_;
  if (kept_.size() == kKept) kept_.erase(kept_.begin());
  kept_.push_back({scope, hashed, key});
  return key;
}

std::uint64_t SigningKeys::derived() const {
  std::lock_guard lock(mutex_);
  return derived_;
}

Signer::Signer(Credentials credentials, std::string region, std::string service, SigV4Options options,
               SigningKeys* keys)
    : credentials_(std::move(credentials)),
      region_(std::move(region)),
      service_(std::move(service)),
      options_(options),
      keys_(keys ? *keys : own_keys_) {}

SigV4Headers Signer::sign(const SigV4Request& request, WallTime now) {
  const SigV4Trace traced = trace_headers(request, now);
  const std::string timestamp = timestamp_of(now);
  SigV4Headers out;
  out.authorization =
      fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm, credentials_.access_key,
                  scope(timestamp), traced.signed_headers, traced.signature);
  out.x_amz_date = timestamp;
  if (options_.sign_content_sha256) out.x_amz_content_sha256 = request.payload_hash;
  out.x_amz_security_token = credentials_.session_token;
  return out;
}

SigV4Trace Signer::trace_headers(const SigV4Request& request, WallTime now) {
  const std::string timestamp = timestamp_of(now);
  const auto headers = headers_to_sign(request, credentials_, options_, timestamp);
  return trace(request, canonical_query(request.query), timestamp, headers);
}

SigV4Trace Signer::trace(const SigV4Request& request, std::string_view query, std::string_view timestamp,
                         std::span<const SigV4Pair> headers) {
  const CanonicalHeaders canonical = canonical_headers(headers);
  SigV4Trace out;
  out.signed_headers = canonical.names;
  out.canonical_request = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method,
                                      canonical_path(request.path, options_.normalize_path), query,
                                      canonical.block, canonical.names, request.payload_hash);
  out.string_to_sign = fmt::format("{}\n{}\n{}\n{}", kAlgorithm, timestamp, scope(timestamp),
                                   to_hex(sha256(out.canonical_request)));
  const Sha256Digest key =
      keys_.key(credentials_.secret_key, timestamp.substr(0, kDayLength), region_, service_);
  out.signature = to_hex(hmac_sha256(as_view(key), out.string_to_sign));
  return out;
}

std::string Signer::scope(std::string_view timestamp) const {
  return fmt::format("{}/{}/{}/aws4_request", timestamp.substr(0, kDayLength), region_, service_);
}

SigV4Headers sign_v4(const SigV4Request& request, const Credentials& credentials, std::string_view region,
                     std::string_view service, WallTime now, SigV4Options options, SigningKeys* keys) {
  return Signer(credentials, std::string(region), std::string(service), options, keys).sign(request, now);
}

}  // namespace vignette::proxy
