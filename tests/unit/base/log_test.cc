#include "base/log.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <climits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"

using namespace vignette;

namespace {
struct Explosive {};

struct Captured {
  std::vector<std::string> lines;
  Logger logger{LogLevel::debug, [this](LogLevel, std::string_view line) { lines.emplace_back(line); }};
};

// A shell's pattern: a regex would take longer to compile than all the rest of this file.
bool is_like(const std::string& text, const std::string& pattern) {
  return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}
}  // namespace

template <>
struct fmt::formatter<Explosive> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  auto format(const Explosive&, format_context& context) const -> decltype(context.out()) {
    throw std::runtime_error("cannot be formatted");
  }
};

TEST_CASE("a log line has a time, a level and the text") {
  Captured captured;
  captured.logger.info("server {} is {}", "10.0.0.11:8000", "up");
  REQUIRE(captured.lines.size() == 1);
  INFO(captured.lines[0]);
  const std::string two = "[0-9][0-9]";
  const std::string time =
      two + two + "-" + two + "-" + two + "T" + two + ":" + two + ":" + two + "." + two + "[0-9]Z";
  CHECK(is_like(captured.lines[0], time + " info  server 10.0.0.11:8000 is up\n"));
}

TEST_CASE("lines below the level are not written") {
  Captured captured;
  captured.logger.set_level(LogLevel::warn);
  captured.logger.debug("a");
  captured.logger.info("b");
  captured.logger.warn("c");
  captured.logger.error("d");
  CHECK(captured.lines.size() == 2);
  CHECK(captured.logger.lines(LogLevel::info) == 0);
  CHECK(captured.logger.lines(LogLevel::error) == 1);
  captured.logger.set_level(LogLevel::off);
  captured.logger.error("e");
  CHECK(captured.lines.size() == 2);
}

TEST_CASE("what a peer sent cannot forge a line or drive a terminal") {
  Captured captured;
  captured.logger.warn("host {}", "a\nerror: b\r\x1b[31m\x7f");
  CHECK(captured.lines[0].ends_with("host a\\nerror: b\\x0d\\x1b[31m\\x7f\n"));
}

TEST_CASE("a long text is cut") {
  Captured captured;
  captured.logger.warn("{}", std::string(4000, 'x'));
  captured.logger.warn("{}", std::string(4001, 'x'));
  captured.logger.warn("{}", std::string(4000, '\n'));
  CHECK(captured.lines[0].ends_with("xx\n"));
  CHECK(captured.lines[1].ends_with("xx [cut]\n"));
  CHECK(captured.lines[2].ends_with("\\n [cut]\n"));
  CHECK(captured.lines[2].size() < PIPE_BUF);
}

TEST_CASE("a text that cannot be formatted is lost and counted, and errno stays") {
  Captured captured;
  errno = EMFILE;
  captured.logger.error("{}", Explosive{});
  CHECK(errno == EMFILE);
  CHECK(captured.lines.empty());
  CHECK(captured.logger.lost() == 1);
}

TEST_CASE("lines to a full pipe are lost, not waited for, also when the pipe would block") {
  for (int flags : {O_NONBLOCK, 0}) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC | flags) == 0);
    UniqueFd reader(ends[0]);
    UniqueFd writer(ends[1]);
    Logger logger(LogLevel::info, writer.get());
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&logger] {
        for (int i = 0; i < 25; ++i) logger.info("{}", std::string(3000, 'x'));
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(logger.lost() > 0);
    CHECK(logger.lines(LogLevel::info) > 0);
    CHECK(logger.lines(LogLevel::info) + logger.lost() == 100);
  }
}

TEST_CASE("threads log whole lines") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  Logger logger(LogLevel::info, writer.get());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&logger, t] {
      for (int i = 0; i < 100; ++i) logger.info("thread {} says {}", t, i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  writer.reset();
  std::string all(1 << 16, '\0');
  std::size_t size = 0;
  for (ssize_t got; (got = ::read(reader.get(), all.data() + size, all.size() - size)) > 0;)
    size += static_cast<std::size_t>(got);
  all.resize(size);
  int whole = 0;
  for (std::size_t begin = 0, end; (end = all.find('\n', begin)) != all.npos; begin = end + 1) {
    whole +=
        is_like(all.substr(begin, end - begin), std::string(24, '?') + " info  thread [0-9] says [0-9]*");
  }
  CHECK(whole == 400);
  CHECK(logger.lines(LogLevel::info) == 400);
}

TEST_CASE("a repeated warning is admitted once an interval and says how many were skipped") {
  ManualClock clock;
  RateLimited limit(clock, std::chrono::seconds(10));
  CHECK(limit.admit() == 0u);
  CHECK_FALSE(limit.admit());
  clock.advance(std::chrono::milliseconds(9999));
  CHECK_FALSE(limit.admit());
  clock.advance(std::chrono::milliseconds(1));
  CHECK(limit.admit() == 2u);
  clock.advance(std::chrono::seconds(60));
  CHECK(limit.admit() == 0u);
}
