// S3 credentials from the environment or a file, and where others are asked for.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "conf/config.h"

namespace vignette::conf {

// Decides `credentials` when it is automatic, and fills what belongs to it: access_key, secret_key and
// session_token, or container_*, or metadata_endpoint. Returns what is missing or wrong, never a value.
std::optional<std::string> load_credentials(S3Options& s3);

// Fills sse_customer_key from its file, if one is named: 32 bytes as they are, or in base64.
std::optional<std::string> load_customer_key(S3Options& s3);

// AWS's format: "[default]" or "[profile name]", and "name = value" lines; # and ; comments. Keys of the
// options' profile that are absent stay as they are.
void parse_credentials(std::string_view text, S3Options& s3);

}  // namespace vignette::conf
