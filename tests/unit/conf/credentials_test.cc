// Where S3 keys come from, decided from options and environment.
#include "conf/credentials.h"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <map>

#include "conf/service_url.h"
#include "tests/support/temp_dir.h"

using namespace vignette;
using namespace vignette::conf;

namespace {

// The variables that decide, as they are for one test: what is not named is unset.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& values) {
    for (const char* name : kNames) {
      const auto found = values.find(name);
      if (found == values.end()) {
        ::unsetenv(name);
      } else {
        ::setenv(name, found->second.c_str(), 1);
      }
    }
  }
  ~Environment() {
    for (const char* name : kNames) ::unsetenv(name);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  static constexpr const char* kNames[] = {"CRED_TEST_ID",
                                           "CRED_TEST_SECRET",
                                           "CRED_TEST_TOKEN",
                                           "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                           "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                           "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                                           "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                                           "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                                           "AWS_EC2_METADATA_DISABLED"};
};

S3Options options(S3Credentials from = S3Credentials::automatic) {
  S3Options s3;
  s3.credentials = from;
  s3.access_key_env = "CRED_TEST_ID";
  s3.secret_key_env = "CRED_TEST_SECRET";
  s3.session_token_env = "CRED_TEST_TOKEN";
  return s3;
}

}  // namespace

TEST_CASE("Without a word the keys come from the file, then the environment, then the container") {
  const TempDir dir;
  const std::map<std::string, std::string> everything = {
      {"CRED_TEST_ID", "from-env"},
      {"CRED_TEST_SECRET", "hush"},
      {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1"}};
  const Environment environment(everything);
  S3Options s3 = options();
  s3.credentials_file =
      dir.write("file", "[default]\naws_access_key_id = from-file\naws_secret_access_key = quiet\n");
  CHECK_FALSE(load_credentials(s3));
  CHECK(s3.credentials == S3Credentials::keys);
  CHECK(s3.access_key == "from-file");
  s3 = options();
  CHECK_FALSE(load_credentials(s3));
  CHECK(s3.credentials == S3Credentials::keys);
  CHECK(s3.access_key == "from-env");
  const Environment contained({{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1"}});
  s3 = options();
  CHECK_FALSE(load_credentials(s3));
  CHECK(s3.credentials == S3Credentials::container);
  CHECK(s3.container_url == "http://169.254.170.2/v2/credentials/1");
}

TEST_CASE("Half a pair of keys in the environment is a mistake, not a reason to look elsewhere") {
  const Environment environment(
      {{"CRED_TEST_ID", "AKID"}, {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1"}});
  S3Options s3 = options();
  const auto wrong = load_credentials(s3);
  REQUIRE(wrong);
  CHECK(wrong->starts_with("the environment variable CRED_TEST_SECRET is not set"));
}

TEST_CASE("A profile of the file is the one that is named") {
  S3Options s3;
  s3.profile = "photos";
  parse_credentials(
      "[default]\naws_access_key_id = no\n[profile photos] \n aws_access_key_id=AKID # a\n;x\n"
      "aws_secret_access_key = a=b\n[photos2]\naws_session_token = no\n",
      s3);
  CHECK(s3.access_key == "AKID # a");
  CHECK(s3.secret_key.reveal() == "a=b");
  CHECK(s3.session_token.empty());
}

TEST_CASE("Only this host and the link-local services are asked for keys without TLS") {
  struct Case {
    const char* uri;
    const char* wrong;  // part of the error; "" when it may be asked
  };
  const Case cases[] = {{"http://127.0.0.1:8080/creds?a=1", ""},
                        {"http://127.9.9.9/creds", ""},
                        {"http://[::1]:8080/creds", ""},
                        {"http://localhost/creds", ""},
                        {"http://169.254.170.2/creds", ""},
                        {"http://169.254.170.23/v1/credentials", ""},
                        {"http://[fd00:ec2::23]/v1/credentials", ""},
                        {"https://anywhere.example/creds", ""},
                        {"http://169.254.169.254/creds", "may not be asked"},
                        {"http://10.0.0.1/creds", "may not be asked"},
                        {"http://anywhere.example/creds", "may not be asked"},
                        {"http://localhost.example/creds", "may not be asked"},
                        {"http://127.0.0.1@evil.example/creds", "no URI"},
                        {"http://[::ffff:10.0.0.1]/creds", "may not be asked"},
                        {"ftp://127.0.0.1/creds", "no URI"},
                        {"http://127.0.0.1/a b", "no URI"},
                        {"http:///creds", "no URI"}};
  for (const Case& one : cases) {
    INFO(one.uri);
    const Environment environment({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", one.uri}});
    S3Options s3 = options(S3Credentials::container);
    const auto wrong = load_credentials(s3);
    CHECK(wrong.has_value() == (one.wrong[0] != '\0'));
    if (wrong) CHECK(wrong->find(one.wrong) != std::string::npos);
  }
}

TEST_CASE("A container's token comes along, and one that would break the request is refused") {
  {
    const Environment environment({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/c"},
                                   {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc"},
                                   {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/var/run/token"}});
    S3Options s3 = options(S3Credentials::container);
    CHECK_FALSE(load_credentials(s3));
    CHECK(s3.container_token.reveal() == "Basic abc");
    CHECK(s3.container_token_file == "/var/run/token");
  }
  const Environment environment({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/c"},
                                 {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "secret\r\nX: y"}});
  S3Options s3 = options(S3Credentials::container);
  const auto wrong = load_credentials(s3);
  REQUIRE(wrong);
  CHECK(wrong->find("control character") != std::string::npos);
  CHECK(wrong->find("secret") == std::string::npos);
}

TEST_CASE("The metadata service is the configuration's, else the environment's, else EC2's") {
  {
    const Environment environment({{"AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://[fd00:ec2::254]/"}});
    S3Options s3 = options(S3Credentials::instance);
    CHECK_FALSE(load_credentials(s3));
    CHECK(s3.metadata_endpoint == "http://[fd00:ec2::254]/");
    s3 = options(S3Credentials::instance);
    s3.metadata_endpoint = "http://127.0.0.1:1338";
    CHECK_FALSE(load_credentials(s3));
    CHECK(s3.metadata_endpoint == "http://127.0.0.1:1338");
  }
  {
    const Environment environment({});
    S3Options s3 = options(S3Credentials::instance);
    CHECK_FALSE(load_credentials(s3));
    CHECK(s3.metadata_endpoint == "http://169.254.169.254");
    s3 = options(S3Credentials::instance);
    s3.metadata_endpoint = "https://127.0.0.1";
    CHECK(load_credentials(s3));
    s3 = options(S3Credentials::instance);
    s3.credentials_file = "/tmp/x";
    CHECK(load_credentials(s3));
  }
  const Environment environment({{"AWS_EC2_METADATA_DISABLED", "True"}});
  S3Options s3 = options(S3Credentials::instance);
  CHECK(load_credentials(s3).value_or("").starts_with("AWS_EC2_METADATA_DISABLED is true"));
}

TEST_CASE("A service's URL is cut into what a connection and a request need") {
  const auto plain = parse_service_url("http://[::1]:8080/a?b=c");
  REQUIRE(plain);
  CHECK_FALSE(plain->tls);
  CHECK(plain->host == "[::1]:8080");
  CHECK(plain->target == "/a?b=c");
  CHECK(plain->address.to_string() == "[::1]:8080");
  const auto secure = parse_service_url("https://store.example");
  REQUIRE(secure);
  CHECK(secure->tls);
  CHECK(secure->host == "store.example");
  CHECK(secure->target == "/");
  CHECK(secure->address.port == 443);
  CHECK(parse_service_url("http://h:443")->host == "h:443");
  for (const char* bad : {"", "http://", "h", "http://u@h/", "http://h:0/", "http://h:70000/", "http://h/#f",
                          "http://unix:/s", "HTTP://h"}) {
    INFO(bad);
    CHECK_FALSE(parse_service_url(bad));
  }
}
