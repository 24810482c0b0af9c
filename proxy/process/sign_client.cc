#include "proxy/process/sign_client.h"

#include <fmt/core.h>

#include <fstream>
#include <memory>
#include <utility>

#include "base/strings.h"
#include "imaging/grammar.h"
#include "imaging/url.h"

namespace vignette::proxy {
namespace {

using Failure = std::unexpected<std::string>;

constexpr std::size_t kMostSecretBytes = 4096;
constexpr std::string_view kUnsigned = "/-/";

// An unsigned URL: `before` ends with the slash before the signature's place.
struct UnsignedUrl {
  std::string_view before;
  std::string_view path;  // "<ops>/<key>[@fmt]"
  std::string_view expires;
  std::string_view version;
};

std::expected<UnsignedUrl, std::string> split_url(std::string_view text) {
  const std::size_t place = text.find(kUnsigned);
  if (place == text.npos) {
    return Failure(
        fmt::format("\"{}\" has no place for a signature; write \"-\" there, as in "
                    "/i/-/w=640/cat.jpg",
                    text));
  }
  const auto [path, query, has_query] = split_once(text.substr(place + kUnsigned.size()), '?');
  UnsignedUrl url{.before = text.substr(0, place + 1), .path = path, .expires = {}, .version = {}};
  for (const std::string_view pair : split(query, '&')) {
    const auto [name, value, has_value] = split_once(pair, '=');
    if (name == "e" && url.expires.empty()) {
      url.expires = value;
    } else if (name == "v" && url.version.empty()) {
      url.version = value;
    } else if (has_query) {
      return Failure("the query of an image may hold e=UNIX_SECONDS and v=VERSION, each once");
    }
  }
  return url;
}

std::expected<std::optional<std::int64_t>, std::string> expiry_of(const SignJob& job, const UnsignedUrl& url,
                                                                  WallTime now) {
  if (job.lifetime_seconds) {
    if (!url.expires.empty()) return Failure("the URL says e= already, so --expires has no place");
    return now.time_since_epoch().count() + *job.lifetime_seconds;
  }
  if (url.expires.empty()) return std::nullopt;
  const auto seconds = parse_u64(url.expires, INT64_MAX);
  if (!seconds) return Failure("e= takes unix seconds");
  return static_cast<std::int64_t>(*seconds);
}

// What a node that has this key would say, but for presets.
std::expected<void, std::string> verify(const imaging::SigningKey& key, std::string_view rest, WallTime now) {
  auto grammar = imaging::Grammar::make({.presets = {}, .ladder = {}});
  imaging::UrlOptions options;
  options.keys.push_back(key);
  auto urls = imaging::ImageUrls::make(std::move(options),
                                       std::make_shared<const imaging::Grammar>(*std::move(grammar)));
  if (!urls) return Failure(urls.error().message);
  const auto [path, query, has_query] = split_once(rest, '?');
  const auto asked = urls->parse(path, query, now);
  const bool has_preset = path.find("/p:") != path.npos || path.find(",p:") != path.npos;
  if (!asked && !(has_preset && asked.error().error == imaging::ErrorClass::bad_request)) {
    return Failure(asked.error().message);
  }
  return {};
}

}  // namespace

std::expected<std::string, std::string> sign_url(const SignJob& job, WallTime now) {
  const auto url = split_url(job.url);
  if (!url) return Failure(url.error());
  const auto expires = expiry_of(job, *url, now);
  if (!expires) return Failure(expires.error());
  const imaging::SigningKey key{.id = job.key_id.empty() ? "key" : job.key_id, .secret = job.secret};
  std::string rest = imaging::ImageUrls::sign(key, url->path, *expires, !job.key_id.empty());
  if (!url->version.empty()) rest += fmt::format("{}v={}", *expires ? "&" : "?", url->version);
  if (auto verified = verify(key, rest, now); !verified) return Failure(verified.error());
  return std::string(url->before) + rest;
}

std::expected<std::string, std::string> read_secret(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes(kMostSecretBytes + 8, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  while (!bytes.empty() && (bytes.back() == '\n' || bytes.back() == '\r')) bytes.pop_back();
  if (!bytes.empty() && bytes.size() <= kMostSecretBytes) return bytes;
  return Failure(
      fmt::format("the secret {} cannot be read, or does not have 16 to {} bytes", path, kMostSecretBytes));
}

}  // namespace vignette::proxy
