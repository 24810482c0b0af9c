// normalize_path: one pass that decodes and folds case into `out`, then one that removes dot segments there.
#include <array>
#include <cstring>

#include "http/chars.h"
#include "http/url.h"

namespace vignette::http {
namespace {

constexpr std::array<std::string_view, 9> kErrors = {"not_absolute", "bad_percent", "nul",
                                                     "backslash",    "above_root",  "hidden_dots",
                                                     "control",      "no_room",     "encoded_slash"};

constexpr char kUpperHex[] = "0123456789ABCDEF";

// Whether nothing would change: no escape, no segment that starts with a dot, only plain characters.
bool is_plain(std::string_view raw, PathRules rules) {
  if (!raw.starts_with('/')) return false;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == '%' || !chars::is(raw[i], chars::kPathOnly)) return false;
    if (i == 0 || raw[i - 1] != '/') continue;
    if (raw[i] == '.' || (raw[i] == '/' && rules.merge_slashes)) return false;
  }
  return true;
}

struct Unescaped {
  std::size_t size = 0;
  bool hides_separators = false;  // %2F or %5C stayed
};

std::expected<Unescaped, PathError> unescape(std::string_view raw, char* out, PathRules rules) {
  Unescaped result;
  const auto put = [&](char c) {
    const bool repeats = c == '/' && result.size > 0 && out[result.size - 1] == '/';
    if (!repeats || !rules.merge_slashes) out[result.size++] = c;
  };
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const char c = raw[i];
    if (c == '\0') return std::unexpected(PathError::nul);
    if (c == '\\') return std::unexpected(PathError::backslash);
    if (c != '%') {
      const auto byte = static_cast<unsigned char>(c);
      if (byte <= ' ' || byte >= 0x7F) return std::unexpected(PathError::control);
      put(c);
      continue;
    }
    if (raw.size() - i < 3) return std::unexpected(PathError::bad_percent);
    const int high = chars::hex_value(raw[i + 1]);
    const int low = chars::hex_value(raw[i + 2]);
    if (high < 0 || low < 0) return std::unexpected(PathError::bad_percent);
    i += 2;
    const char decoded = static_cast<char>(high << 4 | low);
    if (decoded == '\0') return std::unexpected(PathError::nul);
    const bool is_slash = decoded == '/';
    if (is_slash && rules.encoded_slash == EncodedSlash::reject) {
      return std::unexpected(PathError::encoded_slash);
    }
    if (chars::is(decoded, chars::kUnreserved) || (is_slash && rules.encoded_slash == EncodedSlash::decode)) {
      put(decoded);
      continue;
    }
    result.hides_separators |= is_slash || decoded == '\\';
    out[result.size++] = '%';
    out[result.size++] = kUpperHex[high];
    out[result.size++] = kUpperHex[low];
  }
  return result;
}

// Whether cutting the path at %2F and %5C as well as at '/' shows a "." or ".." that cutting at '/' alone
// does not show. Escapes are in upper case here.
bool hides_dots(std::string_view path) {
  bool encoded_before = false;
  for (std::size_t i = 0;;) {
    std::size_t end = i;
    bool encoded_after = false;
    for (; end < path.size() && path[end] != '/'; ++end) {
      const std::string_view escape = path.substr(end, 3);
      encoded_after = escape == "%2F" || escape == "%5C";
      if (encoded_after) break;
    }
    const std::string_view piece = path.substr(i, end - i);
    if ((encoded_before || encoded_after) && (piece == "." || piece == "..")) return true;
    if (end == path.size()) return false;
    i = end + (encoded_after ? 3 : 1);
    encoded_before = encoded_after;
  }
}

// RFC 3986 §5.2.4, in place; nullopt when ".." leaves the root.
std::optional<std::size_t> remove_dot_segments(char* path, std::size_t size) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < size;) {  // path[i] is '/'
    std::size_t end = i + 1;
    while (end < size && path[end] != '/') ++end;
    const std::string_view segment(path + i + 1, end - i - 1);
    const bool last = end == size;
    if (segment == "..") {
      if (kept == 0) return std::nullopt;
      do --kept;
      while (path[kept] != '/');
    }
    if (segment == "." || segment == "..") {
      if (last) path[kept++] = '/';
    } else {
      std::memmove(path + kept, path + i, end - i);
      kept += end - i;
    }
    i = end;
  }
  return kept;
}

}  // namespace

std::string_view to_string(PathError error) { return kErrors[static_cast<std::size_t>(error)]; }

std::expected<std::string_view, PathError> normalize_path(std::string_view raw, std::span<char> out,
                                                          PathRules rules) {
  if (raw == "*" || is_plain(raw, rules)) return raw;
  if (!raw.starts_with('/')) return std::unexpected(PathError::not_absolute);
  if (out.size() < raw.size()) return std::unexpected(PathError::no_room);
  const std::expected<Unescaped, PathError> unescaped = unescape(raw, out.data(), rules);
  if (!unescaped) return std::unexpected(unescaped.error());
  if (unescaped->hides_separators && hides_dots({out.data(), unescaped->size})) {
    return std::unexpected(PathError::hidden_dots);
  }
  const std::optional<std::size_t> size = remove_dot_segments(out.data(), unescaped->size);
  if (!size) return std::unexpected(PathError::above_root);
  return std::string_view(out.data(), *size);
}

std::expected<std::string, PathError> normalize_path(std::string_view raw, PathRules rules) {
  std::string out(raw.size(), '\0');
  const std::expected<std::string_view, PathError> path = normalize_path(raw, std::span<char>(out), rules);
  if (!path) return std::unexpected(path.error());
  return std::string(*path);
}

}  // namespace vignette::http
