#include "base/line_sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "base/fd.h"

using namespace vignette;

namespace {

// A file with room for so many bytes: short writes up to the end of it, ENOSPC after.
struct FaultyDisk {
  std::mutex mutex;
  std::string content;
  std::size_t room = ~std::size_t{0};
  bool stalled = false;
  int reopened = 0;

  void set_room(std::size_t bytes) {
    std::lock_guard lock(mutex);
    room = bytes;
  }
  std::string text() {
    std::lock_guard lock(mutex);
    return content;
  }
};

class FaultyFile final : public LineFile {
 public:
  explicit FaultyFile(FaultyDisk& disk) : disk_(disk) {}
  Result<std::size_t> write(std::string_view bytes) override {
    std::lock_guard lock(disk_.mutex);
    if (disk_.stalled) return 0;
    std::size_t size = std::min(bytes.size(), disk_.room);
    if (size == 0) return fail(Code::io, Blame::internal, "write the log", ENOSPC);
    disk_.content.append(bytes.substr(0, size));
    disk_.room -= size;
    return size;
  }
  Result<void> reopen() override {
    std::lock_guard lock(disk_.mutex);
    ++disk_.reopened;
    return {};
  }

 private:
  FaultyDisk& disk_;
};

struct Folder {
  std::filesystem::path path;
  Folder() {
    char name[] = "/tmp/vignette-line-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
};

std::string read_file(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

struct Fixture {
  FaultyDisk disk;
  ManualClock clock;
  std::vector<std::string> warnings;
  Logger log{LogLevel::info, [this](LogLevel, std::string_view line) { warnings.emplace_back(line); }};
  // Only flush(), reopen() and the end wake the writer.
  LineSinkOptions options{.flush_interval = std::chrono::hours(1)};

  std::unique_ptr<LineSink> sink() {
    return std::make_unique<LineSink>(std::make_unique<FaultyFile>(disk), options, clock, log);
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "lines reach the file in the order of their producer") {
  options.producers = 2;
  auto lines = sink();
  CHECK(lines->append(0, "a1"));
  CHECK(lines->append(1, "b1"));
  CHECK(lines->append(0, "a2"));
  lines->flush();
  CHECK(disk.text() == "a1\na2\nb1\n");
  CHECK(lines->written_lines() == 3);
  CHECK(lines->dropped_lines() == 0);
}

TEST_CASE_METHOD(Fixture, "the end writes what is buffered") {
  sink()->append(0, "last words");
  CHECK(disk.text() == "last words\n");
}

TEST_CASE_METHOD(Fixture, "a buffer takes lines up to its limit") {
  options.buffer_bytes = 8;
  disk.stalled = true;
  options.drain_limit = Duration::zero();
  auto lines = sink();
  CHECK(lines->append(0, "1234567"));
  CHECK_FALSE(lines->append(0, ""));
  CHECK(lines->dropped_lines() == 1);
  lines.reset();
  CHECK(disk.text().empty());
}

TEST_CASE_METHOD(Fixture, "a line larger than the buffer is dropped and the log says so") {
  options.buffer_bytes = 8;
  auto lines = sink();
  CHECK_FALSE(lines->append(0, "12345678"));
  CHECK(lines->append(0, "1234567"));
  lines->flush();
  CHECK(disk.text() == "1234567\n");
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].find("1 lines dropped, 1 in all: a worker's buffer was full") != std::string::npos);
}

TEST_CASE_METHOD(Fixture,
                 "a full disk drops lines, counts them, and a torn line is finished when room is back") {
  auto lines = sink();
  disk.set_room(7);
  for (auto line : {"one", "two-is-longer", "three"}) lines->append(0, line);
  lines->flush();
  CHECK(disk.text() == "one\ntwo");
  CHECK(lines->written_lines() == 1);
  CHECK(lines->dropped_lines() == 1);
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].find("No space left on device") != std::string::npos);

  lines->append(0, "four");
  lines->flush();
  CHECK(lines->dropped_lines() == 2);
  CHECK(warnings.size() == 1);

  disk.set_room(1000);
  lines->append(0, "five");
  lines->flush();
  CHECK(disk.text() == "one\ntwo-is-longer\nfive\n");
  CHECK(lines->written_lines() == 3);
  CHECK(lines->dropped_lines() == 2);
}

TEST_CASE_METHOD(Fixture, "a torn line that never ends is dropped in the end") {
  auto lines = sink();
  disk.set_room(2);
  lines->append(0, "abcdef");
  lines->flush();
  CHECK(lines->dropped_lines() == 0);
  lines->reopen();
  lines->flush();
  CHECK(lines->dropped_lines() == 1);
  CHECK(disk.reopened == 1);
  CHECK(lines->written_lines() == 0);
}

TEST_CASE_METHOD(Fixture, "a reader that stopped does not hold the end") {
  options.drain_limit = std::chrono::milliseconds(1);
  disk.stalled = true;
  auto lines = sink();
  lines->append(0, "never read");
  lines.reset();
  CHECK(disk.text().empty());
  REQUIRE_FALSE(warnings.empty());
  CHECK(warnings.back().find("1 lines dropped") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "a rotated file gets the old lines, a reopened name the new ones") {
  Folder folder;
  std::filesystem::path path = folder.path / "access.log";
  auto file = open_line_file(path);
  REQUIRE(file);
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0137) == 0);
  LineSink lines(std::move(*file), options, clock, log);
  lines.append(0, "before");
  std::filesystem::rename(path, folder.path / "access.log.1");
  lines.reopen();
  lines.flush();
  lines.append(0, "after");
  lines.flush();
  CHECK(read_file(folder.path / "access.log.1") == "before\n");
  CHECK(read_file(path) == "after\n");
}

TEST_CASE_METHOD(Fixture, "a name that cannot be reopened leaves the old file in use") {
  Folder folder;
  std::filesystem::path path = folder.path / "logs" / "access.log";
  std::filesystem::create_directory(folder.path / "logs");
  auto file = open_line_file(path);
  REQUIRE(file);
  LineSink lines(std::move(*file), options, clock, log);
  std::filesystem::rename(folder.path / "logs", folder.path / "moved");
  lines.reopen();
  lines.append(0, "still here");
  lines.flush();
  CHECK(read_file(folder.path / "moved" / "access.log") == "still here\n");
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].find("open the log: No such file or directory; going on with the old file") !=
        std::string::npos);
}

TEST_CASE_METHOD(Fixture, "the kernel's full device drops lines") {
  auto file = open_line_file("/dev/full");
  REQUIRE(file);
  LineSink lines(std::move(*file), options, clock, log);
  lines.append(0, "x");
  lines.append(0, "y");
  lines.flush();
  CHECK(lines.dropped_lines() == 2);
  CHECK(lines.written_lines() == 0);
}

TEST_CASE("a log that cannot be opened is an error with its errno") {
  auto file = open_line_file("/nonexistent/access.log");
  REQUIRE_FALSE(file);
  CHECK(file.error().code == Code::io);
  CHECK(file.error().sys_errno == ENOENT);
}

TEST_CASE_METHOD(Fixture, "a pipe nobody reads takes what fits and does not hold the end") {
  Folder folder;
  std::filesystem::path path = folder.path / "fifo";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  CHECK(open_line_file(path).error().sys_errno == ENXIO);
  UniqueFd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  auto file = open_line_file(path);
  REQUIRE(file);
  options.drain_limit = Duration::zero();
  const std::string line(2000, 'x');
  {
    LineSink lines(std::move(*file), options, clock, log);
    for (int i = 0; i < 100; ++i) CHECK(lines.append(0, line));
  }
  std::string taken(200 * line.size(), '\0');
  const ssize_t size = ::read(reader.get(), taken.data(), taken.size());
  REQUIRE(size > 0);
  CHECK(static_cast<std::size_t>(size) < 100 * (line.size() + 1));
  CHECK(taken.starts_with(line + "\n"));
}

TEST_CASE_METHOD(Fixture,
                 "workers append while the writer writes and files rotate, and every line is accounted for") {
  constexpr unsigned kProducers = 3;
  constexpr unsigned kLines = 3000;
  options.producers = kProducers;
  options.buffer_bytes = 4096;
  options.wake_bytes = 512;
  std::uint64_t written = 0;
  std::uint64_t dropped = 0;
  {
    auto lines = sink();
    std::vector<std::thread> threads;
    for (unsigned producer = 0; producer < kProducers; ++producer) {
      threads.emplace_back([&, producer] {
        for (unsigned i = 0; i < kLines; ++i) lines->append(producer, fmt::format("{} {}", producer, i));
      });
    }
    for (int i = 0; i < 20; ++i) {
      lines->reopen();
      disk.set_room(i % 4 == 0 ? 100 : ~std::size_t{0});
      lines->flush();
    }
    disk.set_room(~std::size_t{0});
    for (std::thread& thread : threads) thread.join();
    lines->flush();
    written = lines->written_lines();
    dropped = lines->dropped_lines();
  }
  CHECK(written + dropped == kProducers * kLines);
  CHECK(disk.reopened > 0);
}
