// Folders of the cache that look as if a mount was forgotten.
#include "proxy/process/mount_check.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

using namespace vignette;
using proxy::find_missing_mounts;

TEST_CASE("A first start, and one that finds what it left, have nothing to tell") {
  const TempDir folder;
  const std::string a = folder.path("a"), b = folder.path("b"), state = folder.path("state");
  CHECK(find_missing_mounts(state, {a, b}).empty());
  folder.write("a/volume", "x");
  folder.write("b/volume", "x");
  folder.write("state/purges.journal", "x");
  CHECK(find_missing_mounts(state, {a, b}).empty());
  CHECK(find_missing_mounts(state, {}).empty());
}

TEST_CASE("A folder that is empty beside others that are not is named, with what follows") {
  const TempDir folder;
  const std::string a = folder.path("a"), b = folder.path("b"), state = folder.path("state");
  folder.write("a/volume", "x");
  folder.write("b/volume", "x");
  const std::vector<std::string> no_journal = find_missing_mounts(state, {a, b});
  REQUIRE(no_journal.size() == 1);
  CHECK(no_journal[0].find("state " + state + ": no journal of purges is there, though " + a) !=
        std::string::npos);
  CHECK(no_journal[0].find("counts as purged") != std::string::npos);
  folder.write("state/purges.journal", "x");
  std::filesystem::remove_all(b);
  const std::vector<std::string> no_volume = find_missing_mounts(state, {a, b});
  REQUIRE(no_volume.size() == 1);
  CHECK(no_volume[0].find("disk " + b + ": no volume is there") != std::string::npos);
  // Without a `state` of its own the journal is on the first disk, and goes with it.
  folder.write("b/volume", "x");
  std::filesystem::remove_all(a);
  const std::vector<std::string> both = find_missing_mounts(a, {a, b});
  CHECK(both.size() == 2);
}
