#include <catch2/catch.hpp>

#include "conf/loader.h"
#include "tests/support/temp_dir.h"

namespace vignette::conf {
namespace {

const std::string kListener = "[[listener]]\naddress = \"127.0.0.1:0\"\n";

std::string errors(const Loaded& loaded) {
  std::string out;
  if (loaded) return out;
  for (const Diagnostic& diagnostic : loaded.error()) out += diagnostic.to_string() + "\n";
  return out;
}

TEST_CASE("included files add sites, origins and keys, relative to themselves") {
  const TempDir dir;
  dir.folder("sub/photos");
  dir.write("sub/b.toml",
            "[[site]]\nhosts = [\"b\"]\n[origin.b]\ndirectory = \"photos\"\n[server]\nworkers = 2\n");
  dir.write("sub/a.toml", "include = \"../deep.toml\"\n[[site]]\nhosts = [\"a\"]\n");
  dir.write("deep.toml", "[log]\nlevel = \"warn\"\n");
  const auto main =
      dir.write("main.toml", "include = [\"sub/*.toml\", \"none-*.toml\"]\n" + kListener +
                                 "[server]\nadmin = \"unix:admin.sock\"\n[[site]]\nhosts = [\"m\"]\n");
  const Loaded loaded = load_file(main);
  REQUIRE(errors(loaded) == "");
  const Config& config = **loaded;
  CHECK(config.files.size() == 4);
  CHECK(config.server.workers == 2);
  CHECK(config.server.admin->path == dir.path("admin.sock"));
  CHECK(config.log.level == LogLevel::warn);
  CHECK(config.find_origin("b")->directory == dir.path("sub/photos"));
  REQUIRE(config.sites.size() == 3);
  CHECK(config.sites[0].hosts[0] == "m");
  CHECK(config.sites[1].hosts[0] == "a");
  CHECK(config.sites[2].hosts[0] == "b");
}

TEST_CASE("errors name the included file") {
  const TempDir dir;
  const auto part = dir.write("part.toml", "[server]\nworker = 2\n");
  const auto main = dir.write("main.toml", "include = \"part.toml\"\n" + kListener);
  CHECK(errors(load_file(main)).starts_with(part + ":2:1: error: unknown key \"worker\""));
  dir.write("part.toml", "[server\n");
  CHECK(errors(load_file(main)).starts_with(part + ":1:"));
}

TEST_CASE("a cycle of includes is an error, direct or not") {
  const TempDir dir;
  const auto self = dir.write("self.toml", "include = \"./self.toml\"\n" + kListener);
  CHECK(errors(load_file(self)).find(":1:11: error: " + self + " includes itself\n") != std::string::npos);
  const auto a = dir.write("a.toml", "include = \"b.toml\"\n" + kListener);
  const auto b = dir.write("b.toml", "include = \"a.toml\"\n");
  CHECK(errors(load_file(a)) ==
        b + ":1:11: error: " + a + " includes itself through the files it includes\n");
}

TEST_CASE("a file included twice or missing, and a key set twice, are errors") {
  const TempDir dir;
  const auto part = dir.write("part.toml", "[cache]\nmemory = \"2MiB\"\nmax_object = \"1MiB\"\n");
  const auto twice = dir.write("twice.toml", "include = [\"part.toml\", \"part.toml\"]\n" + kListener);
  CHECK(errors(load_file(twice)) ==
        twice + ":1:25: error: " + part + " is already included at " + twice + ":1\n");
  const auto missing = dir.write("missing.toml", "include = [\"none.toml\", 3]\n" + kListener);
  const std::string said = errors(load_file(missing));
  CHECK(said.find(missing + ":1:12: error: cannot read " + dir.path("none.toml")) != std::string::npos);
  CHECK(said.find(missing + ":1:25: error: expected a path") != std::string::npos);
  const auto key =
      dir.write("key.toml", "include = \"part.toml\"\n" + kListener + "[cache]\nmemory = \"4MiB\"\n");
  CHECK(errors(load_file(key)) == part + ":2:1: error: \"memory\" is already set at " + key + ":5\n");
}

}  // namespace
}  // namespace vignette::conf
