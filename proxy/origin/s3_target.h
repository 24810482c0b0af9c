// Where a bucket is asked, and which path an object has there. Pure.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "conf/config.h"

namespace vignette::proxy {

struct S3Target {
  bool tls = true;
  conf::Address server;
  std::string host;    // the Host field: with the port unless it is the scheme's own
  std::string prefix;  // of every path: "/bucket" in path style, else ""
};
// The region's own endpoint when none is configured. A bucket that no host name can carry (an endpoint that
// is an IP address; a name that is no DNS label; over TLS a name with a dot, which no wildcard certificate
// covers) is put in the path. The error is a sentence for the operator.
std::expected<S3Target, std::string> s3_target(const conf::S3Options& options);

// The decoded path of the object that a percent-encoded URL path asks for, `prefix` before it. nullopt when
// no object can have that name: "/", more than 1024 bytes, not UTF-8, a NUL, a segment "." or "..".
std::optional<std::string> s3_object_path(std::string_view prefix, std::string_view url_path);

// The first "NAME=VALUE" of a query with that name, as it stands, a view into `query`; empty when there is
// none. The name is compared byte by byte.
std::string_view s3_version_pair(std::string_view query, std::string_view name);
// The decoded value of such a pair; nullopt when no version can be called that.
std::optional<std::string> s3_version(std::string_view pair);

}  // namespace vignette::proxy
