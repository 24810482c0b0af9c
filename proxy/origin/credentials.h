// The keys that sign requests to an object store, and where they are found: the environment first, then the
// shared credentials file that AWS's own tools use. Files are read, so load before the loops start or on the
// main thread, never on a worker.
#pragma once

#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace vignette::proxy {

struct Credentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token;  // empty: long-term keys
};

struct CredentialSource {
  std::string access_key_env = "AWS_ACCESS_KEY_ID";
  std::string secret_key_env = "AWS_SECRET_ACCESS_KEY";
  std::string session_token_env = "AWS_SESSION_TOKEN";
  std::string file = {};     // empty: $AWS_SHARED_CREDENTIALS_FILE, else $HOME/.aws/credentials
  std::string profile = {};  // empty: $AWS_PROFILE, else "default"
};

// Looks one environment variable up; nullopt when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// The process's own environment.
Environment process_environment();

// Both keys from the environment, or (when neither is set there) from the profile of the file. The session
// token is taken only from the place the keys came from. The error is one sentence for the operator that
// names what was looked for and where; it never contains a secret.
std::expected<Credentials, std::string> load_credentials(const CredentialSource& source,
                                                         const Environment& environment);

// One profile of a credentials file's text (ini: [profile], key = value, # and ; comments).
// nullopt when the profile is not there; a profile without keys gives empty strings.
std::optional<Credentials> parse_credentials_file(std::string_view text, std::string_view profile);

}  // namespace vignette::proxy
