#include "cache/purge/identity.h"

#include <algorithm>

#include "base/hash.h"

namespace vignette::cache {
namespace {

constexpr std::string_view kOriginTag = "\x01o:";
constexpr std::string_view kOriginalTag = "\x01k:";
constexpr std::string_view kSelfTag = "\x01u:";
constexpr std::string_view kGroupTag = "\x01g:";

std::string hex16(std::uint64_t value) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text(16, '0');
  for (auto digit = text.rbegin(); digit != text.rend(); ++digit, value >>= 4) *digit = kHex[value & 15];
  return text;
}

}  // namespace

std::string tag_word(std::string_view tag) {
  std::string word(tag);
  std::ranges::replace(word, ' ', kTagBlank);
  return word;
}

std::string tag_name(std::string_view word) {
  if (word.starts_with(kInternalTag)) return {};
  std::string name(word);
  std::ranges::replace(name, kTagBlank, ' ');
  return name;
}

std::string origin_tag(std::string_view origin) { return std::string(kOriginTag) + tag_word(origin); }

std::string self_tag(std::string_view key_string) {
  return std::string(kSelfTag) + hex16(hash64(key_string));
}

std::string original_tag(std::string_view key_string) {
  return std::string(kOriginalTag) + hex16(hash64(key_string));
}

std::string group_tag(std::string_view key_string, std::string_view group) {
  const std::string_view primary = primary_part(key_string);
  const std::string_view host = primary.substr(0, primary.find('/'));
  if (host.empty()) return {};
  std::string_view variant = key_string.substr(primary.size());
  variant = variant.substr(0, variant.find('\n', 1));
  std::string name(host);
  name.append(variant).append("\n").append(group);
  return std::string(kGroupTag) + hex16(hash64(name));
}

// Only the node's own words hold the byte that it begins with, and only as their first.
bool has_original_tag(std::string_view tags) { return tags.find(kOriginalTag) != tags.npos; }

bool is_origin_tag(std::string_view word) { return word.starts_with(kOriginTag); }

bool is_group_tag(std::string_view word) { return word.starts_with(kGroupTag); }

bool is_given_tag(std::string_view word) { return !word.starts_with(kInternalTag) || is_group_tag(word); }

std::string_view primary_part(std::string_view key_string) {
  return key_string.substr(0, key_string.find('\n'));
}

std::uint64_t tag_identity(std::string_view word) { return hash64(word); }

// Of another seed: a key string is never taken for a tag of the same text.
std::uint64_t url_identity(std::string_view key_string) {
  constexpr std::uint64_t kUrlSeed = 1;
  return hash64(primary_part(key_string), kUrlSeed);
}

}  // namespace vignette::cache
