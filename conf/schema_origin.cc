// The rows of [origin.NAME].
#include <algorithm>

#include "conf/option_types.h"

namespace vignette::conf {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr milliseconds kTick{10};

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
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    rest = {};
  }
  const bool named = parse_address(rest) || parse_address(std::string(rest) + ":443");
  if (named && !rest.starts_with("unix:")) return std::nullopt;
  return fmt::format("expected \"http://HOST:PORT\" or \"https://HOST\", without a path, not \"{}\"", url);
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
      value("interval", &H::interval, duration(kTick, hours(1)), Reload::live,
            "Time from one probe of a server to the next, give or take 20 %."),
      value("timeout", &H::timeout, duration(kTick, minutes(10)), Reload::live,
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

std::vector<Option> s3_rows() {
  using S = S3Options;
  return {
      required(value("bucket", &S::bucket, text("string", "3 to 255 characters", bad_bucket), Reload::live,
                     "The bucket.")),
      value("region", &S::region, text(), Reload::live, "Its region, also part of each signature."),
      value("endpoint", &S::endpoint, text("URL", "http://HOST[:PORT] or https://HOST[:PORT]", bad_endpoint),
            Reload::live, "The service. Without it, the region's own at AWS, over TLS."),
      value("path_style", &S::path_style, boolean(), Reload::live,
            "Name the bucket in the path instead of in the host name. Most services that are not AWS need "
            "it."),
      value("access_key_env", &S::access_key_env, text(), Reload::live,
            "The environment variable that holds the access key id."),
      value("secret_key_env", &S::secret_key_env, text(), Reload::live,
            "The environment variable that holds the secret access key."),
      value("session_token_env", &S::session_token_env, text(), Reload::live,
            "The environment variable that holds the session token of temporary credentials; it may be "
            "unset."),
      value("credentials_file", &S::credentials_file, file_path(), Reload::live,
            "Take the credentials from this file instead of the environment: AWS's `credentials` format, "
            "profile `default`. SIGHUP reads it again."),
  };
}

std::vector<Option> timeout_rows() {
  using T = OriginTimeouts;
  Option first_byte =
      value("first_byte", &T::first_byte, duration(kTick, hours(1)), Reload::live,
            "Time from the request sent to the head of the response; after it 504, or the stale copy.");
  first_byte.fallback += ", s3: \"5s\"";
  static_assert(T::kS3FirstByte == seconds(5));
  return {
      value("connect", &T::connect, duration(kTick, minutes(10)), Reload::live,
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
      value("directory", &O::directory, directory_path(), Reload::live,
            "Serve files below this directory. Nothing outside it can be reached, also not by symbolic "
            "links."),
      table("s3", &O::s3, s3_rows(), "Objects of an S3 bucket, or of a service with the same API."),
      table("timeouts", &O::timeouts, timeout_rows(),
            "How long this origin may take. For `servers` and `s3`."),
  };
}

}  // namespace vignette::conf
