#include "conf/credentials.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/strings.h"
#include "conf/include.h"
#include "conf/service_url.h"

namespace vignette::conf {
namespace {

constexpr std::string_view kTaskEndpoint = "http://169.254.170.2";  // of ECS, for relative URIs
constexpr std::string_view kMetadataEndpoint = "http://169.254.169.254";
// Who may be asked in the clear for keys: this host, and the link-local addresses of ECS and EKS.
constexpr std::array<std::string_view, 5> kTrustedPlain = {"127.0.0.0/8", "::1", "169.254.170.2",
                                                           "169.254.170.23", "fd00:ec2::23"};
constexpr std::size_t kCustomerKeyBytes = 32;  // AES-256

std::string_view trim_line(std::string_view text) {
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

bool is_profile(std::string_view line, std::string_view profile) {
  if (line.back() != ']') return false;
  std::string_view name = trim_line(line.substr(1, line.size() - 2));
  if (name.starts_with("profile ")) name = trim_line(name.substr(8));
  return name == profile;
}

std::optional<std::string> load_file_keys(S3Options& s3) {
  const auto text = read_file(s3.credentials_file);
  if (!text) return text.error();
  parse_credentials(*text, s3);
  if (!s3.access_key.empty() && !s3.secret_key.empty()) return std::nullopt;
  return fmt::format("{} has no aws_access_key_id and aws_secret_access_key in its profile [{}]",
                     s3.credentials_file, s3.profile);
}

// True when both keys are there.
bool load_environment_keys(S3Options& s3) {
  s3.access_key = from_environment(s3.access_key_env);
  s3.secret_key = Secret(from_environment(s3.secret_key_env));
  s3.session_token = Secret(from_environment(s3.session_token_env));
  return !s3.access_key.empty() && !s3.secret_key.empty();
}

bool is_trusted_plain(const Address& address) {
  if (!address.is_ip) return address.host == "localhost";
  const auto ip = parse_ip(address.host);
  return ip && std::ranges::any_of(kTrustedPlain, [&](std::string_view prefix) {
           return IpPrefix::parse(prefix)->contains(*ip);
         });
}

std::optional<std::string> load_container(S3Options& s3) {
  const std::string relative = from_environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  const std::string full = from_environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (relative.empty() && full.empty()) {
    return "neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set, so "
           "there is no container endpoint to ask for credentials";
  }
  const char* name =
      relative.empty() ? "AWS_CONTAINER_CREDENTIALS_FULL_URI" : "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
  s3.container_url = relative.empty() ? full : std::string(kTaskEndpoint) + relative;
  const auto url = parse_service_url(s3.container_url);
  if (!url || (!relative.empty() && !relative.starts_with('/'))) {
    return fmt::format("{} is no URI that can be asked", name);
  }
  if (!url->tls && !is_trusted_plain(url->address)) {
    return fmt::format(
        "{} names {}, which may not be asked for credentials without TLS; only loopback, 169.254.170.2, "
        "169.254.170.23 and [fd00:ec2::23] may",
        name, url->address.host);
  }
  s3.container_token_file = from_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  s3.container_token = Secret(from_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::ranges::any_of(s3.container_token.reveal(), is_control)) {
    return "AWS_CONTAINER_AUTHORIZATION_TOKEN has a control character, such as a line end, in it";
  }
  return std::nullopt;
}

std::optional<std::string> load_instance(S3Options& s3) {
  if (iequals(from_environment("AWS_EC2_METADATA_DISABLED"), "true")) {
    return "AWS_EC2_METADATA_DISABLED is true, so EC2's metadata service may not be asked for credentials";
  }
  if (s3.metadata_endpoint.empty()) {
    s3.metadata_endpoint = from_environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  }
  if (s3.metadata_endpoint.empty()) s3.metadata_endpoint = kMetadataEndpoint;
  const auto url = parse_service_url(s3.metadata_endpoint);
  if (url && !url->tls && url->target == "/") return std::nullopt;
  return fmt::format("the metadata service is asked at \"http://HOST[:PORT]\", not \"{}\"",
                     s3.metadata_endpoint);
}

std::optional<std::string> choose(S3Options& s3) {
  if (!s3.credentials_file.empty()) {
    s3.credentials = S3Credentials::keys;
    return load_file_keys(s3);
  }
  if (load_environment_keys(s3)) {
    s3.credentials = S3Credentials::keys;
    return std::nullopt;
  }
  const bool contained = !from_environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").empty() ||
                         !from_environment("AWS_CONTAINER_CREDENTIALS_FULL_URI").empty();
  if (contained && s3.access_key.empty() && s3.secret_key.empty()) {
    s3.credentials = S3Credentials::container;
    return load_container(s3);
  }
  return fmt::format(
      "the environment variable {} is not set; it or `credentials_file` must hold the credentials, or on EC2 "
      "`credentials = \"instance\"` asks for them",
      s3.access_key.empty() ? s3.access_key_env : s3.secret_key_env);
}

}  // namespace

void parse_credentials(std::string_view text, S3Options& s3) {
  bool in_profile = false;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trim_line(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line.front() == '[') {
      in_profile = is_profile(line, s3.profile);
      continue;
    }
    const std::size_t equals = line.find('=');
    if (!in_profile || equals == line.npos) continue;
    take(trim_line(line.substr(0, equals)), trim_line(line.substr(equals + 1)), s3);
  }
}

std::optional<std::string> load_credentials(S3Options& s3) {
  const bool asks = s3.credentials == S3Credentials::container || s3.credentials == S3Credentials::instance;
  if (asks && !s3.credentials_file.empty()) {
    return "`credentials_file` goes with `credentials = \"keys\"` only";
  }
  switch (s3.credentials) {
    case S3Credentials::container:
      return load_container(s3);
    case S3Credentials::instance:
      return load_instance(s3);
    case S3Credentials::keys:
      if (!s3.credentials_file.empty()) return load_file_keys(s3);
      if (load_environment_keys(s3)) return std::nullopt;
      return fmt::format(
          "the environment variable {} is not set; it or `credentials_file` must hold the credentials",
          s3.access_key.empty() ? s3.access_key_env : s3.secret_key_env);
    case S3Credentials::automatic:
      break;
  }
  return choose(s3);
}

std::optional<std::string> load_customer_key(S3Options& s3) {
  if (s3.sse_customer_key_file.empty()) return std::nullopt;
  auto bytes = read_file(s3.sse_customer_key_file);
  if (!bytes) return bytes.error();
  if (bytes->size() != kCustomerKeyBytes) {
    std::string_view text = *bytes;
    while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
    auto decoded = base64_decode(text);
    if (!decoded || decoded->size() != kCustomerKeyBytes) {
      return fmt::format("{} does not hold a key of 32 bytes, as they are or in base64",
                         s3.sse_customer_key_file);
    }
    *bytes = std::move(*decoded);
  }
  s3.sse_customer_key = Secret(std::move(*bytes));
  return std::nullopt;
}

}  // namespace vignette::conf
