#include "base/places.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/support/temp_dir.h"

namespace vignette {
namespace {

TEST_CASE("A file to be written is one, or can be made in a folder that is there") {
  const TempDir dir;
  dir.write("log", "x");
  CHECK_FALSE(why_not_writable_file(dir.path("log")));
  CHECK_FALSE(why_not_writable_file(dir.path("new")));
  CHECK_FALSE(why_not_writable_file("/dev/null"));
  CHECK(why_not_writable_file(dir.path("none/new")) ==
        "the folder " + dir.path("none") + ": No such file or directory");
  CHECK(why_not_writable_file(dir.path("log/new")) == dir.path("log/new") + ": Not a directory");
  CHECK(why_not_writable_file(dir.path()) == dir.path() + " is a folder");
  CHECK(::access(dir.path("new").c_str(), F_OK) != 0);
}

TEST_CASE("A folder to be written is one, or can be made, but not the one above it") {
  const TempDir dir;
  dir.write("file", "x");
  CHECK_FALSE(why_not_writable_folder(dir.path()));
  CHECK_FALSE(why_not_writable_folder(dir.path("new")));
  CHECK_FALSE(why_not_writable_folder(dir.path("new/")));
  CHECK(why_not_writable_folder(dir.path("none/new/")) ==
        "the folder " + dir.path("none") + ": No such file or directory");
  CHECK(why_not_writable_folder(dir.path("file")) == dir.path("file") + " is not a folder");
  CHECK(::access(dir.path("new").c_str(), F_OK) != 0);
}

TEST_CASE("What the user may not write is said") {
  const TempDir dir;
  dir.write("log", "x");
  REQUIRE(::chmod(dir.path("log").c_str(), 0400) == 0);
  REQUIRE(::chmod(dir.path().c_str(), 0500) == 0);
  const bool was_root = ::geteuid() == 0;
  if (was_root) {
    REQUIRE(::chown(dir.path().c_str(), 65534, 65534) == 0);
    REQUIRE(::seteuid(65534) == 0);
  }
  const auto file = why_not_writable_file(dir.path("log"));
  const auto fresh = why_not_writable_file(dir.path("new"));
  const auto folder = why_not_writable_folder(dir.path());
  if (was_root) REQUIRE(::seteuid(0) == 0);
  CHECK(file == dir.path("log") + ": Permission denied");
  CHECK(fresh == "the folder " + dir.path() + ": Permission denied");
  CHECK(folder == fresh);
  REQUIRE(::chmod(dir.path().c_str(), 0700) == 0);
}

}  // namespace
}  // namespace vignette
