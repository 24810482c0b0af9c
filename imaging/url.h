// What follows an images route's prefix:
//   <sig>/<ops>/<key>[@<fmt>]    <sig>/original/<key>    <sig>/info/<key>
// `<sig>` is `-` (unsigned) or `[kid.]base64url(HMAC-SHA256(secret, "/<ops>/<key>[@fmt][?e=exp]"))`, cut to
// no fewer than 16 bytes. The signed text is the raw bytes of the URL. The query may hold only `e` (expiry,
// unix seconds) and `v` (a version for browsers' caches: not signed, so it must not become part of a cache
// key).
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "imaging/errors.h"
#include "imaging/grammar.h"

namespace vignette::imaging {

inline constexpr std::size_t kMaxKeyBytes = 1024;      // decoded; what S3 allows
inline constexpr std::size_t kMinSignatureBytes = 16;  // of the 32 of HMAC-SHA256

enum class RequestKind : std::uint8_t { photo, original, info };
enum class UnsignedPolicy : std::uint8_t { off, presets, on };
enum class Asker : std::uint8_t { client, node };

struct SigningKey {
  std::string id;      // [A-Za-z0-9_-]{1,32}
  std::string secret;  // raw bytes, at least 16
};

struct UrlOptions {
  UnsignedPolicy unsigned_policy = UnsignedPolicy::off;
  std::vector<SigningKey> keys;  // all live; a signature without kid may be by any of them
};

struct ImageRequest {
  RequestKind kind = RequestKind::photo;
  Transform transform;  // of a photo; `@fmt` (an error beside another f) is merged into transform.format
  std::string key;      // percent-decoded, safe: no NUL, control byte, dot segment or leading slash
  std::optional<std::int64_t>
      expires;  // unix seconds, when signed with `e`; cap the response's freshness to it
  std::string_view
      key_id;  // of the key that signed; empty when unsigned. Valid as long as the parser or a copy of it
};

struct UrlError {
  ErrorClass error = ErrorClass::bad_request;  // or forbidden
  std::string message;                         // one sentence, safe to show to the client
};

// Immutable after construction.
class ImageUrls {
 public:
  // Keys with a bad id or a short secret, or repeated ids: an error in `message`.
  static std::expected<ImageUrls, UrlError> make(UrlOptions options, std::shared_ptr<const Grammar> grammar);

  // `rest`: the raw path after the route's prefix; `query`: raw, without '?'. Never fetches, never trusts.
  // Order: shape and key (400), ops (400 naming the op), signature and expiry (403).
  // The node itself needs no signature.
  std::expected<ImageRequest, UrlError> parse(std::string_view rest, std::string_view query, WallTime now,
                                              Asker asker = Asker::client) const;

  // The `<sig>/<ops>/<key>[@fmt][?e=…]` for a raw (already percent-encoded) `ops/key[@fmt]`.
  // `with_id` puts `kid.` in front.
  static std::string sign(const SigningKey& key, std::string_view ops_and_key,
                          std::optional<std::int64_t> expires, bool with_id);

 private:
  ImageUrls() = default;
  std::expected<std::string_view, UrlError> verify(std::string_view signature,
                                                   std::string_view signed_text) const;

  std::shared_ptr<const UrlOptions> options_;
  std::shared_ptr<const Grammar> grammar_;
};

// `@fmt` at the end of a raw key; nullopt in `format` when the key has none. A reserved but unsupported name
// (avif, gif, json) is an error of the caller's to report: `reserved`.
struct KeySuffix {
  std::string_view key;
  std::optional<OutputFormat> format;
  bool reserved = false;
};
KeySuffix split_suffix(std::string_view raw_key);

// Percent-decodes and validates a key; nullopt: refuse with 400.
std::optional<std::string> decode_key(std::string_view raw_key);

}  // namespace vignette::imaging
