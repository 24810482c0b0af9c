#include "conf/values.h"

#include <catch2/catch.hpp>

namespace vignette::conf {
namespace {

using namespace std::chrono_literals;

TEST_CASE("durations have a whole number and a unit") {
  CHECK(parse_duration("250ms") == 250ms);
  CHECK(parse_duration("5s") == 5s);
  CHECK(parse_duration("10m") == 10min);
  CHECK(parse_duration("24h") == 24h);
  CHECK(parse_duration("7d") == 168h);
  CHECK(parse_duration("0s") == 0s);
  for (const char* text : {"", "5", "s", "5 s", " 5s", "5s ", "-5s", "+5s", "1.5s", "5S", "5sec", "5s5",
                           "99999999999999999999s", "9223372036854775807s"}) {
    INFO(text);
    CHECK_FALSE(parse_duration(text));
  }
}

TEST_CASE("sizes are powers of 1024 with an i and of 1000 without") {
  CHECK(parse_size("0B") == 0);
  CHECK(parse_size("8KiB") == 8192);
  CHECK(parse_size("16MB") == 16'000'000);
  CHECK(parse_size("2GiB") == 2ULL << 30);
  CHECK(parse_size("8388607TiB") == 8388607ULL << 40);
  for (const char* text : {"", "8", "KiB", "8 KiB", "8kib", "8K", "-1B", "1.5GiB", "8388608TiB"}) {
    INFO(text);
    CHECK_FALSE(parse_size(text));
  }
}

TEST_CASE("values print with the largest unit that fits and read back the same") {
  CHECK(format_duration(90s) == "90s");
  CHECK(format_duration(120s) == "2m");
  CHECK(format_duration(1500ms) == "1500ms");
  CHECK(format_duration(0ms) == "0s");
  CHECK(format_size(0) == "0B");
  CHECK(format_size(1536) == "1536B");
  CHECK(format_size(64ULL << 20) == "64MiB");
  for (const std::uint64_t bytes : {1ULL, 1023ULL, 1024ULL, 5ULL << 40})
    CHECK(parse_size(format_size(bytes)) == bytes);
}

}  // namespace
}  // namespace vignette::conf
