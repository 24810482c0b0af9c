// AWS's own signing cases, when the data is there, and fixtures made with botocore's algorithm by hand.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/strings.h"
#include "proxy/origin/sigv4.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace std::chrono_literals;

namespace {

constexpr WallTime kVectorTime = std::chrono::sys_days(std::chrono::year(2015) / 8 / 30) + 12h + 36min;

Credentials example_keys() { return {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""}; }

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

// AWS's request.txt: a request line that may hold spaces and UTF-8, and fields without a space after the
// colon.
struct VectorRequest {
  std::string method, path;
  std::vector<std::pair<std::string, std::string>> query, headers;
};

VectorRequest parse_vector(const std::string& text) {
  VectorRequest out;
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  const std::string target = line.substr(4, line.rfind(" HTTP/1.1") - 4);
  out.method = line.substr(0, 3);
  const Halves halves = split_once(target, '?');
  out.path = percent_decode(halves.before).value();
  for (std::string_view part : split(halves.after, '&')) {
    const Halves pair = split_once(part, '=');
    if (!part.empty()) {
      out.query.emplace_back(percent_decode(pair.before).value(), percent_decode(pair.after).value());
    }
  }
  while (std::getline(lines, line) && !line.empty()) {
    const Halves field = split_once(line, ':');
    out.headers.emplace_back(field.before, field.after);
  }
  return out;
}

std::vector<SigV4Pair> views(const std::vector<std::pair<std::string, std::string>>& pairs) {
  return {pairs.begin(), pairs.end()};
}

std::filesystem::path vectors() {
  const char* data = std::getenv("VIGNETTE_DATA");
  const auto fallback = std::filesystem::path(VIGNETTE_SOURCE_DIR) / "../shared/data";
  return (data ? std::filesystem::path(data) : fallback) / "sigv4";
}

void check_vector(const std::filesystem::path& directory) {
  const auto context = nlohmann::json::parse(read(directory / "context.json"));
  const auto& keys = context["credentials"];
  Signer signer({keys["access_key_id"], keys["secret_access_key"], keys.value("token", "")},
                context["region"], context["service"],
                {.normalize_path = context["normalize"], .sign_content_sha256 = false});
  const VectorRequest parsed = parse_vector(read(directory / "request.txt"));
  const auto query = views(parsed.query);
  const auto headers = views(parsed.headers);
  const SigV4Request request{
      .method = parsed.method, .path = parsed.path, .query = query, .headers = headers};

  const SigV4Trace by_header = signer.trace_headers(request, kVectorTime);
  CHECK(by_header.canonical_request == read(directory / "header-canonical-request.txt"));
  CHECK(by_header.string_to_sign == read(directory / "header-string-to-sign.txt"));
  CHECK(by_header.signature == read(directory / "header-signature.txt"));
  const std::string signed_request = read(directory / "header-signed-request.txt");
  CHECK(signed_request.find("Authorization:" + signer.sign(request, kVectorTime).authorization) !=
        std::string::npos);
}

}  // namespace

TEST_CASE("Signatures agree with AWS's signing cases") {
  if (!std::filesystem::exists(vectors())) {
    WARN("skipped: no signing cases at " << vectors());
    return;
  }
  int cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(vectors())) {
    if (!std::filesystem::exists(entry.path() / "context.json")) continue;
    INFO(entry.path().filename().string());
    check_vector(entry.path());
    ++cases;
  }
  CHECK(cases == 15);
}

// Without the data: the example that AWS prints in its documentation of GET Object.
TEST_CASE("A signed GET of an object is the one in AWS's documentation") {
  Signer signer({"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""}, "us-east-1");
  const std::vector<SigV4Pair> headers{{"Host", "examplebucket.s3.amazonaws.com"}, {"Range", "bytes=0-9"}};
  const WallTime time = std::chrono::sys_days(std::chrono::year(2013) / 5 / 24);
  const auto out = signer.sign({.method = "GET", .path = "/test.txt", .query = {}, .headers = headers}, time);
  CHECK(out.authorization ==
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  CHECK(out.x_amz_date == "20130524T000000Z");
  CHECK(out.x_amz_content_sha256 == kEmptyPayloadHash);
  CHECK(out.x_amz_security_token.empty());
}

TEST_CASE("A listing with a query is signed as in AWS's documentation") {
  const std::vector<SigV4Pair> query{{"prefix", "J"}, {"max-keys", "2"}};
  const std::vector<SigV4Pair> headers{{"host", "examplebucket.s3.amazonaws.com"}};
  const WallTime time = std::chrono::sys_days(std::chrono::year(2013) / 5 / 24);
  const auto out = sign_v4({.method = "GET", .path = "/", .query = query, .headers = headers},
                           {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""},
                           "us-east-1", "s3", time);
  CHECK(out.authorization.ends_with(
      "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

TEST_CASE("Keys are encoded once, and never normalised unless asked") {
  CHECK(canonical_path("") == "/");
  CHECK(canonical_path("/photos/a b+c%20é~.jpg") == "/photos/a%20b%2Bc%2520%C3%A9~.jpg");
  CHECK(canonical_path("/a//b/./c/../d") == "/a//b/./c/../d");
  CHECK(canonical_path("/a//b/./c/../d/.", true) == "/a/b/d/");
  CHECK(canonical_path("/../..", true) == "/");
}

TEST_CASE("Query pairs are sorted by their encoded names, then values") {
  const std::vector<SigV4Pair> query{{"b", "2"}, {"a", "b/c"}, {"b", "1"}, {"é", ""}, {"B", "&="}};
  CHECK(canonical_query(query) == "%C3%A9=&B=%26%3D&a=b%2Fc&b=1&b=2");
  CHECK(canonical_query({}).empty());
}

TEST_CASE("A session token is sent and signed by the signer") {
  Credentials keys = example_keys();
  keys.session_token = "token/with+signs=";
  const std::vector<SigV4Pair> headers{{"host", "h"}};
  const auto out =
      sign_v4({.method = "GET", .path = "/k", .query = {}, .headers = headers}, keys, "r", "s3", kVectorTime);
  CHECK(out.x_amz_security_token == keys.session_token);
  CHECK_THAT(out.authorization, Catch::Contains("x-amz-date;x-amz-security-token"));
}

TEST_CASE("The signing key follows the day, and a signer used over midnight signs as a new one would") {
  const std::vector<SigV4Pair> headers{{"host", "h"}};
  const SigV4Request request{.method = "GET", .path = "/k", .query = {}, .headers = headers};
  Signer kept(example_keys(), "us-east-1");
  const WallTime midnight = std::chrono::sys_days(std::chrono::year(2026) / 1 / 1);
  for (const WallTime time : {midnight - 1s, midnight, midnight + 1s, midnight - 1s}) {
    Signer fresh(example_keys(), "us-east-1");
    CHECK(kept.sign(request, time).authorization == fresh.sign(request, time).authorization);
  }
  CHECK(kept.sign(request, midnight - 1s).authorization != kept.sign(request, midnight).authorization);
}
