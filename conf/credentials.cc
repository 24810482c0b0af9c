#include "conf/credentials.h"

#include <fmt/core.h>

#include <cstdlib>

#include "conf/include.h"

namespace vignette::conf {
namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::string from_environment(const std::string& name) {
  const char* found = std::getenv(name.c_str());
  return found ? found : "";
}

void take(std::string_view name, std::string_view found, S3Options& s3) {
  if (name == "aws_access_key_id") s3.access_key = found;
  if (name == "aws_secret_access_key") s3.secret_key = Secret(std::string(found));
  if (name == "aws_session_token") s3.session_token = Secret(std::string(found));
}

}  // namespace

void parse_credentials(std::string_view text, S3Options& s3) {
  bool in_default = false;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line.front() == '[') {
      in_default = line.back() == ']' && trim(line.substr(1, line.size() - 2)) == "default";
      continue;
    }
    const std::size_t equals = line.find('=');
    if (!in_default || equals == line.npos) continue;
    take(trim(line.substr(0, equals)), trim(line.substr(equals + 1)), s3);
  }
}

std::optional<std::string> load_credentials(S3Options& s3) {
  if (!s3.credentials_file.empty()) {
    const auto text = read_file(s3.credentials_file);
    if (!text) return text.error();
    parse_credentials(*text, s3);
    if (!s3.access_key.empty() && !s3.secret_key.empty()) return std::nullopt;
    return fmt::format("{} has no aws_access_key_id and aws_secret_access_key in its profile [default]",
                       s3.credentials_file);
  }
  s3.access_key = from_environment(s3.access_key_env);
  s3.secret_key = Secret(from_environment(s3.secret_key_env));
  s3.session_token = Secret(from_environment(s3.session_token_env));
  const std::string& missing = s3.access_key.empty() ? s3.access_key_env : s3.secret_key_env;
  if (!s3.access_key.empty() && !s3.secret_key.empty()) return std::nullopt;
  return fmt::format(
      "the environment variable {} is not set; it or `credentials_file` must hold the credentials", missing);
}

}  // namespace vignette::conf
