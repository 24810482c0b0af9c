// The rows of [origin.NAME].
#include <algorithm>
#include <iterator>

#include "conf/option_types.h"
#include "conf/service_url.h"

namespace vignette::conf {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr milliseconds kLeastTime{10};

std::optional<std::string> bad_path(std::string_view path) {
  const auto bad = [](char c) { return c <= ' ' || c > '~' || c == '#'; };
  if (path.starts_with('/') && std::ranges::none_of(path, bad)) return std::nullopt;
  return fmt::format("expected a path such as \"/healthz\", not \"{}\"", path);
}

std::optional<std::string> bad_bucket(std::string_view name) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  };
  if (name.size() >= 3 && name.size() <= 255 && std::ranges::all_of(name, good)) return std::nullopt;
  return fmt::format("expected a bucket name (3 to 255 letters, digits, '.', '-' and '_'), not \"{}\"", name);
}

std::optional<std::string> bad_endpoint(std::string_view url) {
  const auto parsed = parse_service_url(url);
  if (parsed && parsed->target == "/" && !url.ends_with('/')) return std::nullopt;
  return fmt::format("expected \"http://HOST:PORT\" or \"https://HOST\", without a path, not \"{}\"", url);
}

// It becomes a part of host names and of signatures.
std::optional<std::string> bad_region(std::string_view name) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  if (!name.empty() && name.size() <= 63 && std::ranges::all_of(name, good)) return std::nullopt;
  return fmt::format("expected a region such as \"eu-central-1\", not \"{}\"", name);
}

std::optional<std::string> bad_version_parameter(std::string_view name) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  if (!name.empty() && name.size() <= 64 && std::ranges::all_of(name, good)) return std::nullopt;
  return fmt::format("expected the name of a query parameter, such as \"versionId\", not \"{}\"", name);
}

std::vector<Option> server_rows() {
  using S = OriginServer;
  return {
      required(value("address", &S::address, connect_address(), Reload::live,
                     "Where it listens. A name is resolved again as its TTL passes; each of its addresses is "
                     "a server.")),
      value("weight", &S::weight, integer(1, 1000), Reload::live,
            "Its share of the requests, relative to the other servers."),
      value("backup", &S::backup, boolean(), Reload::live,
            "Gets requests only while no other server of this origin is up."),
  };
}

std::vector<Option> health_rows() {
  using H = HealthOptions;
  return {
      value("path", &H::path, text("string", "a path", bad_path), Reload::live,
            "What a probe asks for with GET; 2xx and 3xx are good answers."),
      value("interval", &H::interval, duration(kLeastTime, hours(1)), Reload::live,
            "Time from one probe of a server to the next, give or take 20 %."),
      value("timeout", &H::timeout, duration(kLeastTime, minutes(10)), Reload::live,
            "A probe without a complete answer after this has failed."),
      value("fall", &H::fall, integer(1, 100), Reload::live,
            "Failed probes in a row that take a server out of rotation."),
      value("rise", &H::rise, integer(1, 100), Reload::live,
            "Good probes in a row that bring it back. The first probe after a start decides alone."),
  };
}

std::vector<Option> tls_rows() {
  using T = OriginTlsOptions;
  return {
      value("verify", &T::verify, boolean(), Reload::live,
            "Refuse servers whose certificate does not verify. Turn it off only for tests."),
      value("sni", &T::sni, text(), Reload::live,
            "The name sent to the server and expected in its certificate. Without it, the name or address "
            "in `servers`; a unix socket needs it."),
      value("ca", &T::ca, file_path(), Reload::live,
            "PEM file with the authorities to trust. Without it, the system's."),
  };
}

Type<S3Credentials> credentials_type() {
  return choice<S3Credentials>({{"auto", S3Credentials::automatic},
                                {"keys", S3Credentials::keys},
                                {"container", S3Credentials::container},
                                {"instance", S3Credentials::instance}});
}

std::vector<Option> s3_credential_rows() {
  using S = S3Options;
  return {
      value("credentials", &S::credentials, credentials_type(), Reload::live,
            "Where the keys come from. `keys`: from `credentials_file` or the environment. `container`: from "
            "the endpoint that ECS or EKS names in AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI. "
            "`instance`: from EC2's metadata service, version 2 only. `auto`: the first of file, "
            "environment and container that is there. Keys that expire are asked for again ahead of that."),
      value("access_key_env", &S::access_key_env, text(), Reload::live,
            "The environment variable that holds the access key id."),
      value("secret_key_env", &S::secret_key_env, text(), Reload::live,
            "The environment variable that holds the secret access key."),
      value("session_token_env", &S::session_token_env, text(), Reload::live,
            "The environment variable that holds the session token of temporary credentials; it may be "
            "unset."),
      value("credentials_file", &S::credentials_file, file_path(), Reload::live,
            "Take the credentials from this file instead of the environment: AWS's `credentials` format. "
            "SIGHUP reads it again."),
      value("profile", &S::profile, text(), Reload::live, "Which profile of `credentials_file`."),
      value("metadata_endpoint", &S::metadata_endpoint, text("URL", "http://HOST[:PORT]", bad_endpoint),
            Reload::live,
            "Where `instance` credentials are asked for. Without it AWS_EC2_METADATA_SERVICE_ENDPOINT, else "
            "http://169.254.169.254."),
  };
}

std::vector<Option> s3_rows() {
  using S = S3Options;
  std::vector<Option> rows = {
      required(value("bucket", &S::bucket, text("string", "3 to 255 characters", bad_bucket), Reload::live,
                     "The bucket.")),
      value("region", &S::region, text("string", "a region's name", bad_region), Reload::live,
            "Its region, also part of each signature."),
      value("endpoint", &S::endpoint, text("URL", "http://HOST[:PORT] or https://HOST[:PORT]", bad_endpoint),
            Reload::live, "The service. Without it, the region's own at AWS, over TLS."),
      value("dualstack", &S::dualstack, boolean(), Reload::live,
            "Ask the region's own endpoint under the name that has IPv4 and IPv6 addresses. Not with "
            "`endpoint`."),
      value("path_style", &S::path_style, boolean(), Reload::live,
            "Name the bucket in the path instead of in the host name. Most services that are not AWS need "
            "it. A bucket whose name fits no host name, or over TLS one with a dot, which no wildcard "
            "certificate covers, is in the path anyway."),
      value("requester_pays", &S::requester_pays, boolean(), Reload::live,
            "Agree to pay for requests to a bucket that asks for it (x-amz-request-payer)."),
      value("version_query", &S::version_query, text("string", "a parameter's name", bad_version_parameter),
            Reload::live,
            "The query parameter by which clients ask for one version of an object (`?versionId=…`); each "
            "version is cached by itself. Without it no query reaches the store. Resizes are always of the "
            "current version."),
      value("checksums", &S::checksums,
            choice<S3Checksums>(
                {{"all", S3Checksums::all}, {"headers", S3Checksums::headers}, {"off", S3Checksums::off}}),
            Reload::live,
            "What objects read whole are compared with: the x-amz-checksum-* of the store and, without one, "
            "an ETag that is an MD5 (`all`), only the first (`headers`), or nothing. What differs is not "
            "stored and the answer is broken off. A service whose ETags look like MD5 and are none needs "
            "`headers`."),
      value("sse_customer_key_file", &S::sse_customer_key_file, file_path(), Reload::live,
            "The file with the key of objects encrypted with a key of yours (SSE-C): 32 bytes, as they are "
            "or in base64. It is sent with each request, so only over TLS."),
  };
  std::ranges::move(s3_credential_rows(), std::back_inserter(rows));
  return rows;
}

std::vector<Option> timeout_rows() {
  using T = OriginTimeouts;
  Option first_byte =
      value("first_byte", &T::first_byte, duration(kLeastTime, hours(1)), Reload::live,
            "Time from the request sent to the head of the response; after it 504, or the stale copy.");
  first_byte.fallback += ", s3: \"5s\"";
  static_assert(T::kS3FirstByte == seconds(5));
  return {
      value("connect", &T::connect, duration(kLeastTime, minutes(10)), Reload::live,
            "Time to connect, TLS included; after it the next server is tried."),
      std::move(first_byte),
      value("keep_alive", &T::keep_alive, duration(milliseconds(0), hours(1)), Reload::live,
            "Longest idle time of a pooled connection to this origin; less when the origin closes earlier. "
            "`\"0s\"` keeps none."),
  };
}

}  // namespace

std::vector<Option> origin_options() {
  using O = Origin;
  return {
      tables<O, OriginServer>(
          "servers", &O::servers, server_rows(),
          "HTTP servers, balanced. An entry is an address as a string, or a table. A table of one "
          "`address` is the same as the string.",
          [](Context& context, const Node& node, OriginServer& server) {
            if (auto address = connect_address().parse(context, node)) server.address = std::move(*address);
          }),
      value("balance", &O::balance, choice<Balance>({{"round_robin", Balance::round_robin}}), Reload::live,
            "How a server is chosen: `round_robin` is smooth and weighted. For `servers`."),
      maybe_table("health", &O::health, health_rows(),
                  "Active health checks of `servers`. Without this table a server is up until requests to it "
                  "fail."),
      maybe_table("tls", &O::tls, tls_rows(), "Speak TLS to the `servers`. Without this table, plain HTTP."),
      value("proxy_protocol", &O::proxy_protocol,
            choice<ProxyProtocol>(
                {{"off", ProxyProtocol::off}, {"v1", ProxyProtocol::v1}, {"v2", ProxyProtocol::v2}}),
            Reload::live,
            "Begin each connection to the `servers` with a PROXY header of this version, before TLS: it says "
            "the client's address, as known through `server.trusted`. A pooled connection is used again only "
            "for the address that it was opened for, so there are more connections. What the node asks for "
            "itself (health checks, pieces of large objects) says `UNKNOWN` or `LOCAL`."),
      value(
          "directory", &O::directory, directory_path(), Reload::live,
          "Serve files below this directory. Symbolic links below it are not followed, wherever they lead. "
          "Stored files are known by the origin's name: after a change of the directory, purge the origin."),
      table("s3", &O::s3, s3_rows(), "Objects of an S3 bucket, or of a service with the same API."),
      table("timeouts", &O::timeouts, timeout_rows(),
            "How long this origin may take. For `servers` and `s3`."),
  };
}

}  // namespace vignette::conf
