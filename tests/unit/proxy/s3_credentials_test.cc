#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "proxy/origin/credentials.h"

using namespace vignette::proxy;

namespace {

Environment environment_of(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    const auto it = values.find(name);
    return it == values.end() ? std::nullopt : std::optional(it->second);
  };
}

struct TemporaryFile {
  explicit TemporaryFile(std::string_view text) {
    std::string pattern = (std::filesystem::temp_directory_path() / "vignette-credentials-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
    path += "/credentials";
    std::ofstream(path) << text;
  }
  ~TemporaryFile() { std::filesystem::remove_all(std::filesystem::path(path).parent_path()); }
  std::string path;
};

constexpr std::string_view kFile =
    "# comment\n[default]\naws_access_key_id = AKDEFAULT\naws_secret_access_key=s/cr+t=\n"
    "; other comment\n[ photos ]\r\naws_access_key_id=AKPHOTOS\r\naws_secret_access_key = two\r\n"
    "aws_session_token = tok=en==\r\nregion = eu-west-1\r\n[half]\naws_access_key_id = AKHALF\n[empty]";

}  // namespace

TEST_CASE("Keys come from the environment first") {
  const TemporaryFile file(kFile);
  const auto found = load_credentials({.file = file.path}, environment_of({{"AWS_ACCESS_KEY_ID", "AKENV"},
                                                                           {"AWS_SECRET_ACCESS_KEY", "senv"},
                                                                           {"AWS_SESSION_TOKEN", "tenv"}}));
  REQUIRE(found);
  CHECK(found->access_key == "AKENV");
  CHECK(found->secret_key == "senv");
  CHECK(found->session_token == "tenv");
}

TEST_CASE("The names of the environment variables can be chosen") {
  const CredentialSource source{.access_key_env = "PHOTO_KEY", .secret_key_env = "PHOTO_SECRET"};
  const auto found = load_credentials(
      source, environment_of({{"PHOTO_KEY", "A"}, {"PHOTO_SECRET", "B"}, {"AWS_ACCESS_KEY_ID", "no"}}));
  REQUIRE(found);
  CHECK(found->access_key == "A");
  CHECK(found->session_token.empty());
}

TEST_CASE("Without the environment the shared file and profile are used") {
  const TemporaryFile file(kFile);
  const auto by_default = load_credentials({.file = file.path}, environment_of({}));
  REQUIRE(by_default);
  CHECK(by_default->access_key == "AKDEFAULT");
  CHECK(by_default->secret_key == "s/cr+t=");
  CHECK(by_default->session_token.empty());

  const auto by_profile = load_credentials(
      {}, environment_of({{"AWS_SHARED_CREDENTIALS_FILE", file.path}, {"AWS_PROFILE", "photos"}}));
  REQUIRE(by_profile);
  CHECK(by_profile->access_key == "AKPHOTOS");
  CHECK(by_profile->secret_key == "two");
  CHECK(by_profile->session_token == "tok=en==");
}

TEST_CASE("A session token of the environment does not mix with keys of the file") {
  const TemporaryFile file(kFile);
  const auto found = load_credentials({.file = file.path}, environment_of({{"AWS_SESSION_TOKEN", "stray"}}));
  REQUIRE(found);
  CHECK(found->session_token.empty());
}

TEST_CASE("Missing credentials are explained without secrets") {
  const TemporaryFile file(kFile);
  const auto half =
      load_credentials({.file = file.path}, environment_of({{"AWS_SECRET_ACCESS_KEY", "hush"}}));
  REQUIRE_FALSE(half);
  CHECK_THAT(half.error(), Catch::Contains("AWS_ACCESS_KEY_ID is not") && !Catch::Contains("hush"));

  const auto no_profile = load_credentials({.file = file.path, .profile = "nobody"}, environment_of({}));
  REQUIRE_FALSE(no_profile);
  CHECK_THAT(no_profile.error(), Catch::Contains("[nobody]") && Catch::Contains(file.path));

  const auto half_profile = load_credentials({.file = file.path, .profile = "half"}, environment_of({}));
  REQUIRE_FALSE(half_profile);
  CHECK_THAT(half_profile.error(), Catch::Contains("aws_secret_access_key"));

  const auto no_file = load_credentials({.file = file.path + ".none"}, environment_of({}));
  REQUIRE_FALSE(no_file);
  CHECK_THAT(no_file.error(), Catch::Contains("AWS_ACCESS_KEY_ID") && Catch::Contains("No such file"));

  const auto no_home = load_credentials({}, environment_of({}));
  REQUIRE_FALSE(no_home);
  CHECK_THAT(no_home.error(), Catch::Contains("HOME"));
}

TEST_CASE("A credentials file over its limit is refused") {
  const TemporaryFile file(std::string(1024 * 1024, '#'));
  const auto found = load_credentials({.file = file.path}, environment_of({}));
  REQUIRE_FALSE(found);
  CHECK_THAT(found.error(), Catch::Contains("1 MiB"));
}

TEST_CASE("Damaged credentials files never yield another profile's keys") {
  CHECK_FALSE(parse_credentials_file("", "default"));
  CHECK_FALSE(parse_credentials_file("aws_access_key_id = x\n", "default"));
  CHECK_FALSE(parse_credentials_file("[default\naws_access_key_id = x\n", "default"));
  const auto found =
      parse_credentials_file("[default]\naws_access_key_id\n[other\naws_access_key_id=y\n", "default");
  REQUIRE(found);
  CHECK(found->access_key.empty());
}
