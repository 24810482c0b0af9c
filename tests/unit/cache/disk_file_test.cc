#include "cache/disk/disk_file.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "disk_support.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

// A folder of its own that goes away with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "vignette-disk-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path path;
};

std::string text_of(const DiskFile& file, std::uint64_t offset, std::size_t bytes) {
  std::string text(bytes, '\0');
  const auto count = file.pread(text, offset);
  REQUIRE(count);
  text.resize(*count);
  return text;
}

}  // namespace

TEST_CASE("A real file is written and read, with and without waiting, and ends where it ends") {
  const TemporaryFolder folder;
  auto directory = open_disk_directory((folder.path / "made").string());
  REQUIRE(directory);
  CHECK((*directory)->open("volume", OpenMode::existing).error().code == Code::not_found);
  auto file = (*directory)->open("volume", OpenMode::create);
  REQUIRE(file);
  REQUIRE((*file)->allocate(0, 100'000));
  CHECK((*file)->size() == 100'000);
  REQUIRE((*file)->pwrite("needle", 99'990));
  REQUIRE((*file)->start_writeback(0, 100'000));
  REQUIRE((*file)->wait_for_writeback(0, 100'000));
  REQUIRE((*file)->sync_data());
  (*file)->advise_random();
  CHECK(text_of(**file, 99'990, 6) == "needle");
  CHECK(text_of(**file, 99'990, 100) == std::string("needle\0\0\0\0", 10));
  std::string out(6, '\0');
  const auto now = (*file)->pread_nowait(out, 99'990);
  REQUIRE(now);
  if (*now) CHECK(out == "needle");
  REQUIRE((*file)->truncate(10));
  CHECK((*file)->size() == 10);
  struct stat status{};
  REQUIRE(::stat((folder.path / "made" / "volume").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("What is read past the page cache is what was written, wherever it lies and is read to") {
  const TemporaryFolder folder;
  auto directory = open_disk_directory(folder.path.string());
  REQUIRE(directory);
  auto file = (*directory)->open("volume", OpenMode::create);
  REQUIRE(file);
  const std::string text = body_for("past the page cache", 100'001);
  REQUIRE((*file)->pwrite(text, 0));
  const bool random = GENERATE(false, true);  // without, there is no direct reading
  if (random) (*file)->advise_random();
  if (GENERATE(false, true)) REQUIRE((*file)->sync_data());
  const std::size_t slack = (*file)->direct_slack();
  CHECK((random || slack == 0));
  if (random && slack == 0) WARN("skipped: the file system of " << folder.path << " has no direct reads");
  const std::pair<std::uint64_t, std::size_t> ranges[] = {
      {0, 1},       {511, 2},    {512, 512},      {4095, 4098},  {64, 80'000},
      {0, 100'001}, {99'999, 2}, {99'999, 4'000}, {100'001, 10}, {200'000, 10}};
  for (const auto& [offset, bytes] : ranges) {
    for (const std::size_t room_left : {std::size_t{0}, slack}) {
      for (const std::size_t shift : {std::size_t{0}, std::size_t{1}, std::size_t{32}}) {
        std::string room(shift + bytes + room_left, '-');
        const auto got = (*file)->pread_direct(std::span(room).subspan(shift), bytes, offset);
        REQUIRE(got);
        if (*got != std::string_view(text).substr(std::min<std::size_t>(offset, text.size()), bytes)) {
          FAIL(bytes << " bytes at " << offset << ", shifted by " << shift << ", slack " << room_left);
        }
      }
    }
  }
}

TEST_CASE("A file takes another's place by renaming, and one that is locked cannot be locked again") {
  const TemporaryFolder folder;
  auto directory = open_disk_directory(folder.path.string());
  REQUIRE(directory);
  auto old_file = (*directory)->open("index", OpenMode::create);
  auto new_file = (*directory)->open("index.new", OpenMode::replace);
  REQUIRE((*old_file)->pwrite("old", 0));
  REQUIRE((*new_file)->pwrite("new", 0));
  REQUIRE((*directory)->rename("index.new", "index"));
  auto file = (*directory)->open("index", OpenMode::existing);
  REQUIRE(file);
  CHECK(text_of(**file, 0, 10) == "new");
  REQUIRE((*file)->lock());
  auto again = (*directory)->open("index", OpenMode::existing);
  CHECK((*again)->lock().error().code == Code::refused);
  REQUIRE((*directory)->remove("index"));
  REQUIRE((*directory)->remove("index"));
  CHECK_FALSE((*directory)->open("index", OpenMode::existing));
}

TEST_CASE("A folder that cannot be made is an error with its errno") {
  const auto directory = open_disk_directory("/proc/no/such/folder");
  REQUIRE_FALSE(directory);
  CHECK(directory.error().code == Code::io);
  CHECK(directory.error().sys_errno == ENOENT);
}

TEST_CASE("A volume on a real disk is found again with its snapshot") {
  const TemporaryFolder folder;
  auto directory = open_disk_directory(folder.path.string());
  REQUIRE(directory);
  ManualClock clock;
  Logger log(LogLevel::off);
  MapIndex index;
  for (int run = 0; run < 3; ++run) {
    auto volume = Volume::open(**directory, small_volume(8), clock, log);
    REQUIRE(volume);
    (*volume)->set_reclaim_policy(&index);
    index.places.clear();
    Recovery recovery(**volume, [&](const RecoveredEntry& entry) { index.apply(entry); });
    while (recovery.step()) {
    }
    CHECK(index.places.size() == static_cast<std::size_t>(run) * 20);
    CHECK(recovery.stats().snapshot_used == (run > 0));
    for (int i = 0; i < 20; ++i) {
      const std::string name = "h/" + std::to_string(run) + "/" + std::to_string(i);
      const auto location = (*volume)->append(*object_for(name, 3000));
      REQUIRE(location);
      index.put(DiskIndex::hash_of(hash_key(name)), *location);
    }
    REQUIRE((*volume)->close());
    auto writer = SnapshotWriter::begin(**volume);
    REQUIRE(writer);
    for (const auto& [hash, location] : index.places) {
      REQUIRE(writer->add(hash, (*volume)->file_offset(location), location.bytes, true));
    }
    REQUIRE(writer->commit());
    CHECK(Volume::open(**directory, small_volume(8), clock, log).error().code == Code::refused);
  }
}
