#include "cache/key.h"

#include "base/hash.h"
#include "base/strings.h"

namespace vignette::cache {
namespace {

constexpr char kHex[] = "0123456789ABCDEF";
constexpr CharSet kPathBytes = kUnreserved.with("/!$&'()*+,;=:@");
constexpr CharSet kQueryBytes = kPathBytes.with("?[]\\^`{|}\"<>");

void append_encoded(char c, std::string& out) {
  auto byte = static_cast<unsigned char>(c);
  out += '%';
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

void append_host(std::string_view host, std::string& out) {
  std::size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos) {
    std::string_view port = host.substr(colon + 1);
    if (port.empty() || port == "80" || port == "443") host = host.substr(0, colon);
  }
  if (host.ends_with('.')) host.remove_suffix(1);
  constexpr CharSet kHostBytes = kUnreserved.with("[]:!$&'()*+,;=");
  for (char c : host) {
    if (kHostBytes.contains(c)) {
      out += to_lower(c);
    } else {
      append_encoded(c, out);
    }
  }
}

// An encoded unreserved character is the character itself (RFC 3986 section 6.2.2.2), but for the dot.
void append_normalised(std::string_view text, const CharSet& keep, std::string& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '%' && i + 2 < text.size()) {
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high >= 0 && low >= 0) {
        const char decoded = static_cast<char>(high * 16 + low);
        if (kUnreserved.contains(decoded) && decoded != '.') {
          out += decoded;
        } else {
          append_encoded(decoded, out);
        }
        i += 2;
        continue;
      }
    }
    if (keep.contains(c)) {
      out += c;
    } else {
      append_encoded(c, out);
    }
  }
}

}  // namespace

Key hash_key(std::string_view key_string) {
  const Hash128 hash = hash128(key_string);
  return {hash.high, hash.low};
}

Key build_key(const KeyParts& parts, std::string& key_string) {
  key_string.clear();
  append_host(parts.host, key_string);
  append_normalised(parts.path, kPathBytes, key_string);
  if (parts.query) {
    key_string += '?';
    append_normalised(*parts.query, kQueryBytes, key_string);
  }
  if (!parts.variant.empty()) return extend_key(parts.variant, key_string);
  return hash_key(key_string);
}

Key extend_key(std::string_view variant, std::string& key_string) {
  key_string += '\n';
  key_string += variant;
  return hash_key(key_string);
}

}  // namespace vignette::cache
