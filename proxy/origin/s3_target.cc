#include "proxy/origin/s3_target.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "conf/service_url.h"

namespace vignette::proxy {
namespace {

constexpr std::size_t kMaxKeyBytes = 1024;  // S3's own limits
constexpr std::size_t kMaxVersionBytes = 1024;
constexpr std::size_t kMaxHostBucketBytes = 63;

// Which domain serves the regions whose names begin like this; the first that fits.
struct Partition {
  std::string_view prefix;
  std::string_view domain;
};
constexpr std::array kPartitions = {Partition{"cn-", "amazonaws.com.cn"}, Partition{"us-iso-", "c2s.ic.gov"},
                                    Partition{"us-isob-", "sc2s.sgov.gov"},
                                    Partition{"eusc-", "amazonaws.eu"}, Partition{"", "amazonaws.com"}};

std::string region_endpoint(const std::string& region, bool dualstack) {
  const std::string name = to_lower(region);
  const auto partition =
      std::ranges::find_if(kPartitions, [&](const Partition& one) { return name.starts_with(one.prefix); });
  return fmt::format("https://s3.{}{}.{}", dualstack ? "dualstack." : "", name, partition->domain);
}

// Buckets made since 2018 all do; older ones of us-east-1, and those of other services, may not.
bool fits_host_name(std::string_view bucket) {
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '.'; };
  return bucket.size() <= kMaxHostBucketBytes && std::ranges::all_of(bucket, fits) &&
         bucket.find("..") == std::string_view::npos && bucket.front() != '.' && bucket.front() != '-' &&
         bucket.back() != '.' && bucket.back() != '-';
}

}  // namespace

std::expected<S3Target, std::string> s3_target(const conf::S3Options& options) {
  const std::string url =
      options.endpoint.empty() ? region_endpoint(options.region, options.dualstack) : options.endpoint;
  auto endpoint = conf::parse_service_url(url);
  if (!endpoint) return std::unexpected(fmt::format("\"{}\" is no endpoint of an object store", url));
  const bool needs_path = endpoint->address.is_ip || !fits_host_name(options.bucket) ||
                          (endpoint->tls && options.bucket.find('.') != std::string::npos);
  S3Target target{.tls = endpoint->tls, .server = endpoint->address, .host = endpoint->host, .prefix = {}};
  if (options.path_style || needs_path) {
    target.prefix = "/" + options.bucket;
  } else {
    target.server.host = fmt::format("{}.{}", options.bucket, target.server.host);
    target.host = fmt::format("{}.{}", options.bucket, target.host);
  }
  return target;
}

std::optional<std::string> s3_object_path(std::string_view prefix, std::string_view url_path) {
  auto key = percent_decode(url_path);
  if (!key || key->size() < 2 || key->front() != '/' || key->size() - 1 > kMaxKeyBytes) return std::nullopt;
  if (key->find('\0') != std::string::npos || to_utf8(*key) != *key) return std::nullopt;
  for (std::string_view segment : split(*key, '/')) {
    if (segment == "." || segment == "..") return std::nullopt;
  }
  return std::string(prefix) + *key;
}

std::string_view s3_version_pair(std::string_view query, std::string_view name) {
  if (name.empty() || query.empty()) return {};
  for (std::string_view pair : split(query, '&')) {
    if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=') return pair;
  }
  return {};
}

std::optional<std::string> s3_version(std::string_view pair) {
  auto value = percent_decode(split_once(pair, '=').after);
  if (!value || value->empty() || value->size() > kMaxVersionBytes) return std::nullopt;
  const bool plain = std::ranges::all_of(*value, [](char c) { return c > ' ' && c < 0x7f; });
  if (!plain) return std::nullopt;
  return value;
}

}  // namespace vignette::proxy
