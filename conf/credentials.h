// S3 credentials from the environment or a file.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "conf/config.h"

namespace vignette::conf {

// Fills access_key, secret_key and session_token. Returns what is missing, never a value.
std::optional<std::string> load_credentials(S3Options& s3);

// AWS's format: "[default]" and "name = value" lines, # and ; comments. Keys absent stay empty.
void parse_credentials(std::string_view text, S3Options& s3);

}  // namespace vignette::conf
