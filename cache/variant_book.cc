#include "cache/variant_book.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace vignette::cache {
namespace {

// What the containers and the allocator take beside the texts.
constexpr std::size_t kUrlBytes = 256;
constexpr std::size_t kValueBytes = 64;

// The key string above the values; nullopt when the object lies under no key of its own.
std::optional<std::string_view> primary_of(const Object& variant) {
  std::string_view key = variant.key_string();
  const std::string_view values = variant.vary_values();
  if (values.empty() || !key.ends_with(values)) return std::nullopt;
  key.remove_suffix(values.size());
  if (!key.ends_with('\n')) return std::nullopt;
  return key.substr(0, key.size() - 1);
}

}  // namespace

std::size_t VariantBook::Url::footprint() const {
  return kUrlBytes + primary.size() + values.size() * kValueBytes + bytes;
}

void VariantBook::forget_oldest(Shard& shard) {
  const Url& oldest = shard.urls.back();
  shard.bytes -= oldest.footprint();
  shard.by_primary.erase(oldest.primary);
  shard.urls.pop_back();
}

VariantBook::Url& VariantBook::find_or_add(Shard& shard, std::string_view primary) {
  if (auto known = shard.by_primary.find(primary); known != shard.by_primary.end()) {
    shard.urls.splice(shard.urls.begin(), shard.urls, known->second);
    return shard.urls.front();
  }
  if (shard.urls.size() >= kMaxVariedUrlsPerShard) forget_oldest(shard);
  shard.urls.push_front({.primary = std::string(primary), .values = {}});
  shard.by_primary.emplace(shard.urls.front().primary, shard.urls.begin());
  shard.bytes += shard.urls.front().footprint();
  return shard.urls.front();
}

void VariantBook::note(const Object& variant) {
  const auto primary = primary_of(variant);
  if (!primary) return;
  Shard& shard = shards_[hash_key(*primary).hi % kShards];
  const std::string_view values = variant.vary_values();
  const std::lock_guard lock(shard.mutex);
  Url& url = find_or_add(shard, *primary);
  if (std::ranges::find(url.values, values) != url.values.end()) return;
  shard.bytes -= url.footprint();
  url.values.emplace_back(values);
  url.bytes += values.size();
  while (url.values.size() > kMaxVariants || (url.bytes > kMaxVariantBytes && url.values.size() > 1)) {
    drop_least_used(url, values);
  }
  shard.bytes += url.footprint();
  while (shard.bytes > kMaxVariantShardBytes && shard.urls.size() > 1) forget_oldest(shard);
}

std::vector<std::string> VariantBook::values_of(std::string_view primary) const {
  const Shard& shard = shards_[hash_key(primary).hi % kShards];
  const std::lock_guard lock(shard.mutex);
  const auto known = shard.by_primary.find(primary);
  return known == shard.by_primary.end() ? std::vector<std::string>() : known->second->values;
}

// With the shard locked. Any but `kept`, of which there is one.
void VariantBook::drop_least_used(Url& url, std::string_view kept) {
  auto least = url.values.end();
  std::uint64_t least_uses = std::numeric_limits<std::uint64_t>::max();
  std::string name;
  for (auto values = url.values.begin(); values != url.values.end(); ++values) {
    if (*values == kept) continue;
    name = url.primary;
    const ObjectRef found = store_.peek(extend_key(*values, name), name);
    const std::uint64_t uses = found ? found->halve_uses() + 1 : 0;
    if (uses < least_uses) {
      least = values;
      least_uses = uses;
    }
  }
  name = url.primary;
  const Key key = extend_key(*least, name);
  if (store_.erase(key, name)) dropped_.fetch_add(1, std::memory_order_relaxed);
  url.bytes -= least->size();
  url.values.erase(least);
}

}  // namespace vignette::cache
