// URLs as a server needs them (RFC 3986): authorities, one normal form of a path, queries. Percent-encoding
// is in base/strings.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace vignette::http {

struct Authority {
  std::string_view host;   // as given; an IPv6 literal with its brackets, a name without a trailing dot
  std::uint16_t port = 0;  // 0 when none is given, or an empty one
};
// host[:port] without userinfo. Names are letters, digits, '-', '_' and '.', labels of 1–63, 253 in all;
// IPv6 literals are checked; a port is empty or 1–65535 without leading zeros. nullopt for anything else,
// also "".
std::optional<Authority> parse_authority(std::string_view text);

// Where a URL's parts are; views into the argument.
struct AbsoluteUrl {
  std::string_view scheme;  // as written
  std::string_view authority;
  std::string_view path;  // may be ""
  std::string_view query;
  bool has_query = false;
};
// scheme "://" authority [path] ["?" query]; http and https only, no fragment. The authority is not checked.
std::optional<AbsoluteUrl> parse_absolute_url(std::string_view text);

enum class PathError : std::uint8_t {
  not_absolute,   // does not start with '/'
  bad_percent,    // '%' without two hex digits
  nul,            // %00 or a NUL byte
  backslash,      // a raw backslash
  above_root,     // ".." climbs over the root
  hidden_dots,    // "." or ".." next to %2F or %5C: another decoder would see a traversal
  control,        // a raw control, space or non-ASCII byte
  no_room,        // `out` is shorter than `raw`
  encoded_slash,  // %2F where PathRules reject it
};
std::string_view to_string(PathError error);

// What of a path may be read in two ways; a site says which.
enum class EncodedSlash : std::uint8_t {
  keep,    // %2F is no separator and goes on as it is
  decode,  // it is one: /a%2Fb is /a/b
  reject,
};
struct PathRules {
  bool merge_slashes = false;  // "//" is "/", before dot segments are removed
  EncodedSlash encoded_slash = EncodedSlash::keep;
};

// The one form that router, cache key and policies look at: escapes of unreserved characters decoded, other
// escapes in upper case, "." and ".." removed, everything else kept (also "//" and %2F, which is not a
// separator, unless the rules say otherwise). Idempotent. The result is a view into `out`, which needs
// raw.size() bytes and may be raw's own. When `raw` is already normal the result is `raw` itself and nothing
// is written. "*" is returned as it is.
std::expected<std::string_view, PathError> normalize_path(std::string_view raw, std::span<char> out,
                                                          PathRules rules = {});
std::expected<std::string, PathError> normalize_path(std::string_view raw, PathRules rules = {});

struct Parameter {
  std::string_view name;   // raw, not decoded
  std::string_view value;  // raw, "" when there is no '='
  bool has_value = false;
};
// Takes the next "name=value" off a query ('&' separates; empty pieces are skipped). False at the end.
bool next_parameter(std::string_view& rest, Parameter& parameter);

}  // namespace vignette::http
