#include "proxy/origin/credentials.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "base/strings.h"

namespace vignette::proxy {
namespace {

constexpr std::streamsize kMaxFileBytes = 1024 * 1024;

// A line without its end (files from Windows too) and outer blanks.
std::string_view stripped(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return trim(line);
}

std::string non_empty(const Environment& environment, const std::string& name) {
  if (name.empty()) return {};
  return environment(name).value_or("");
}

std::string file_path(const CredentialSource& source, const Environment& environment) {
  if (!source.file.empty()) return source.file;
  std::string path = non_empty(environment, "AWS_SHARED_CREDENTIALS_FILE");
  if (!path.empty()) return path;
  const std::string home = non_empty(environment, "HOME");
  return home.empty() ? std::string() : home + "/.aws/credentials";
}

std::expected<std::string, std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::unexpected(std::string(std::strerror(errno)));
  std::string text(static_cast<std::size_t>(kMaxFileBytes), '\0');
  in.read(text.data(), kMaxFileBytes);
  if (in.bad()) return std::unexpected(std::string("it cannot be read"));
  if (in.gcount() == kMaxFileBytes) return std::unexpected(std::string("it is over 1 MiB"));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

std::expected<Credentials, std::string> from_file(const CredentialSource& source,
                                                  const Environment& environment) {
  const std::string path = file_path(source, environment);
  const std::string unset = fmt::format("no credentials for S3: {} and {} are not set", source.access_key_env,
                                        source.secret_key_env);
  if (path.empty()) return std::unexpected(unset + ", and there is no HOME to look for .aws/credentials in");
  const auto text = read_file(path);
  if (!text) return std::unexpected(fmt::format("{}, and {}: {}", unset, path, text.error()));
  std::string profile = source.profile.empty() ? non_empty(environment, "AWS_PROFILE") : source.profile;
  if (profile.empty()) profile = "default";
  auto found = parse_credentials_file(*text, profile);
  if (!found) return std::unexpected(fmt::format("{}, and {} has no profile [{}]", unset, path, profile));
  if (found->access_key.empty() || found->secret_key.empty()) {
    return std::unexpected(fmt::format(
        "profile [{}] of {} needs both aws_access_key_id and aws_secret_access_key", profile, path));
  }
  return *std::move(found);
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  };
}

std::expected<Credentials, std::string> load_credentials(const CredentialSource& source,
                                                         const Environment& environment) {
  Credentials out;
  out.access_key = non_empty(environment, source.access_key_env);
  out.secret_key = non_empty(environment, source.secret_key_env);
  if (out.access_key.empty() && out.secret_key.empty()) return from_file(source, environment);
  if (out.access_key.empty() || out.secret_key.empty()) {
    const bool no_access = out.access_key.empty();
    return std::unexpected(fmt::format("{} is set but {} is not: S3 needs both",
                                       no_access ? source.secret_key_env : source.access_key_env,
                                       no_access ? source.access_key_env : source.secret_key_env));
  }
  out.session_token = non_empty(environment, source.session_token_env);
  return out;
}

std::optional<Credentials> parse_credentials_file(std::string_view text, std::string_view profile) {
  std::optional<Credentials> out;
  bool inside = false;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = stripped(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[') {
      const std::size_t close = line.find(']');
      inside = close != std::string_view::npos && trim(line.substr(1, close - 1)) == profile;
      if (inside && !out) out.emplace();
      continue;
    }
    const std::size_t equals = line.find('=');
    if (!inside || equals == std::string_view::npos) continue;
    const std::string_view key = trim(line.substr(0, equals));
    const std::string_view value = trim(line.substr(equals + 1));
    if (key == "aws_access_key_id") out->access_key = value;
    if (key == "aws_secret_access_key") out->secret_key = value;
    if (key == "aws_session_token") out->session_token = value;
  }
  return out;
}

}  // namespace vignette::proxy
