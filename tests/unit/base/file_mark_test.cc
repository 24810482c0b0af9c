#include "base/file_mark.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <filesystem>
#include <string>

#include "tests/support/temp_dir.h"

using vignette::FileMark;
using vignette::TempDir;

TEST_CASE("A file that is not there has the mark of nothing") {
  const TempDir dir;
  CHECK(FileMark::of(dir.path("none")) == FileMark());
}

TEST_CASE("Other rights are another mark of the same bytes") {
  namespace fs = std::filesystem;
  const TempDir dir;
  dir.write("file", "bytes");
  const std::string path = dir.path("file");
  const FileMark before = FileMark::of(path);
  CHECK(before == FileMark::of(path));
  // Until the clock of the file system has gone on.
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (FileMark::of(path) == before && std::chrono::steady_clock::now() < limit) {
    fs::permissions(path, fs::perms::owner_read);
  }
  CHECK(FileMark::of(path) != before);
  CHECK(FileMark::of(path).has_bytes_of(before));
}

TEST_CASE("Other bytes, and another file in the place, are no mark of the same bytes") {
  const TempDir dir;
  dir.write("file", "bytes");
  const FileMark before = FileMark::of(dir.path("file"));
  dir.write("file", "more bytes");
  CHECK_FALSE(FileMark::of(dir.path("file")).has_bytes_of(before));
  dir.write("other", "bytes");
  CHECK_FALSE(FileMark::of(dir.path("other")).has_bytes_of(before));
}
