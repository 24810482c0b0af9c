#include "imaging/url.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/hmac.h"
#include "base/strings.h"

namespace vignette::imaging {
namespace {

constexpr std::size_t kMaxOpsBytes = 512;
constexpr std::size_t kMaxVersionBytes = 64;
constexpr std::size_t kMinSecretBytes = 16;
constexpr std::size_t kMaxIdBytes = 32;
constexpr CharSet kIdBytes{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"};
constexpr CharSet kVersionBytes = kIdBytes.with(".~");

std::unexpected<UrlError> bad(std::string message) {
  return std::unexpected(UrlError{ErrorClass::bad_request, std::move(message)});
}
std::unexpected<UrlError> denied(std::string message) {
  return std::unexpected(UrlError{ErrorClass::forbidden, std::move(message)});
}

bool all_in(std::string_view text, const CharSet& set) {
  return std::ranges::all_of(text, [&set](char c) { return set.contains(c); });
}

bool has_dot_segment(std::string_view path) {
  for (const std::string_view segment : split(path, '/')) {
    if (segment == "." || segment == "..") return true;
  }
  return false;
}

struct Query {
  std::optional<std::int64_t> expires;
  std::string_view expires_text;  // as written: it is signed as written
};

std::expected<Query, UrlError> parse_query(std::string_view text) {
  Query query;
  bool version_seen = false;
  if (text.empty()) return query;
  for (const std::string_view pair : split(text, '&')) {
    const auto [name, value, found] = split_once(pair, '=');
    if (name == "e" && !query.expires) {
      const auto seconds =
          parse_u64(value, static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
      if (!seconds) return bad("query parameter 'e' must be unix seconds");
      query.expires = static_cast<std::int64_t>(*seconds);
      query.expires_text = value;
    } else if (name == "v" && !version_seen) {
      if (value.size() > kMaxVersionBytes || !all_in(value, kVersionBytes)) {
        return bad("query parameter 'v' must be up to 64 letters, digits, '-', '_', '.' or '~'");
      }
      version_seen = true;
    } else {
      return bad("the query may hold 'e' and 'v', each once");
    }
  }
  return query;
}

struct Parts {
  std::string_view signature;
  std::string_view signed_path;  // "/<ops>/<key>[@fmt]"
  std::string_view ops;
  std::string_view key;  // raw, with the suffix
};

std::optional<Parts> split_path(std::string_view rest) {
  const std::size_t first = rest.find('/');
  if (first == std::string_view::npos || first == 0) return std::nullopt;
  const std::size_t second = rest.find('/', first + 1);
  if (second == std::string_view::npos || second == first + 1) return std::nullopt;
  return Parts{rest.substr(0, first), rest.substr(first), rest.substr(first + 1, second - first - 1),
               rest.substr(second + 1)};
}

RequestKind kind_of(std::string_view ops) {
  if (ops == "original") return RequestKind::original;
  return ops == "info" ? RequestKind::info : RequestKind::photo;
}

// Ops, suffix and key of a photo into `request`. Returns whether only a preset was asked for.
std::expected<bool, UrlError> read_photo(const Grammar& grammar, Parts& parts, ImageRequest& request) {
  const KeySuffix suffix = split_suffix(parts.key);
  if (suffix.reserved) return bad("this output format is not offered");
  parts.key = suffix.key;
  if (parts.ops.size() > kMaxOpsBytes) return bad("too many ops");
  const auto ops = grammar.parse(parts.ops);
  if (!ops) return bad(ops.error().message());
  request.transform = ops->transform;
  if (suffix.format) {
    if (request.transform.format && request.transform.format != suffix.format) {
      return bad("the format after '@' contradicts op 'f'");
    }
    request.transform.format = suffix.format;
  }
  return ops->preset_only;
}

}  // namespace

KeySuffix split_suffix(std::string_view raw_key) {
  const std::size_t at = raw_key.rfind('@');
  if (at == std::string_view::npos || at == 0) return {raw_key, std::nullopt, false};
  const std::string_view name = raw_key.substr(at + 1);
  if (const auto format = output_format(name)) return {raw_key.substr(0, at), format, false};
  const bool reserved = name == "avif" || name == "gif" || name == "json";
  return {raw_key, std::nullopt, reserved};
}

std::optional<std::string> decode_key(std::string_view raw_key) {
  if (raw_key.empty() || raw_key.size() > 3 * kMaxKeyBytes) return std::nullopt;
  std::optional<std::string> key = percent_decode(raw_key);
  if (!key || key->size() > kMaxKeyBytes || key->starts_with('/')) return std::nullopt;
  const auto is_control = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  };
  if (std::ranges::any_of(*key, is_control) || has_dot_segment(*key)) return std::nullopt;
  return key;
}

std::expected<ImageUrls, UrlError> ImageUrls::make(UrlOptions options,
                                                   std::shared_ptr<const Grammar> grammar) {
  for (std::size_t i = 0; i < options.keys.size(); ++i) {
    const SigningKey& key = options.keys[i];
    if (key.id.empty() || key.id.size() > kMaxIdBytes || !all_in(key.id, kIdBytes)) {
      return bad(
          fmt::format("key id '{}' must be 1 to 32 letters, digits, '-' or '_'", key.id.substr(0, 40)));
    }
    if (key.secret.size() < kMinSecretBytes) {
      return bad(fmt::format("the secret of key '{}' is shorter than 16 bytes", key.id));
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (options.keys[j].id == key.id) return bad(fmt::format("key id '{}' is used twice", key.id));
    }
  }
  ImageUrls urls;
  urls.options_ = std::make_shared<const UrlOptions>(std::move(options));
  urls.grammar_ = std::move(grammar);
  return urls;
}

std::expected<std::string_view, UrlError> ImageUrls::verify(std::string_view signature,
                                                            std::string_view signed_text) const {
  std::string_view wanted_id;
  if (const Halves halves = split_once(signature, '.'); halves.found) {
    wanted_id = halves.before;
    signature = halves.after;
    if (wanted_id.empty()) return denied("unknown key id");
  }
  const std::optional<std::string> given = base64url_decode(signature);
  const bool sized = given && given->size() >= kMinSignatureBytes && given->size() <= sizeof(Sha256Digest);
  if (!sized) return denied("the signature does not match");
  bool known = false;
  for (const SigningKey& key : options_->keys) {
    if (!wanted_id.empty() && key.id != wanted_id) continue;
    known = true;
    const Sha256Digest digest = hmac_sha256(key.secret, signed_text);
    if (constant_time_equal(as_view(digest).substr(0, given->size()), *given))
      return std::string_view(key.id);
  }
  return denied(known ? "the signature does not match" : "unknown key id");
}

std::expected<ImageRequest, UrlError> ImageUrls::parse(std::string_view rest, std::string_view query_text,
                                                       WallTime now, Asker asker) const {
  std::optional<Parts> parts = split_path(rest);
  if (!parts) return bad("the path must be <signature>/<ops>/<key>");
  const auto query = parse_query(query_text);
  if (!query) return std::unexpected(query.error());

  ImageRequest request;
  request.kind = kind_of(parts->ops);
  bool preset_only = false;
  if (request.kind == RequestKind::photo) {
    const auto photo = read_photo(*grammar_, *parts, request);
    if (!photo) return std::unexpected(photo.error());
    preset_only = *photo;
  }
  std::optional<std::string> key = decode_key(parts->key);
  if (!key) return bad("bad key");
  request.key = *std::move(key);

  if (parts->signature == "-") {
    const bool allowed = asker == Asker::node || options_->unsigned_policy == UnsignedPolicy::on ||
                         (options_->unsigned_policy == UnsignedPolicy::presets && preset_only);
    if (!allowed) return denied("this URL must be signed");
  } else {
    std::string signed_text(parts->signed_path);
    if (query->expires) signed_text.append("?e=").append(query->expires_text);
    const auto id = verify(parts->signature, signed_text);
    if (!id) return std::unexpected(id.error());
    request.key_id = *id;
  }
  if (query->expires && now.time_since_epoch().count() >= *query->expires)
    return denied("this URL has expired");
  request.expires = query->expires;
  return request;
}

std::string ImageUrls::sign(const SigningKey& key, std::string_view ops_and_key,
                            std::optional<std::int64_t> expires, bool with_id) {
  std::string path = fmt::format("/{}", ops_and_key);
  if (expires) path += fmt::format("?e={}", *expires);
  const Sha256Digest digest = hmac_sha256(key.secret, path);
  return fmt::format("{}{}{}{}", with_id ? key.id : "", with_id ? "." : "", base64url_encode(as_view(digest)),
                     path);
}

}  // namespace vignette::imaging
