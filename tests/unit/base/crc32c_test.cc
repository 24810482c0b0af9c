#include "base/crc32c.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>

using namespace vignette;

TEST_CASE("CRC32C gives the values of RFC 3720 and of the usual check string") {
  std::string rising;
  for (int i = 0; i < 32; ++i) rising += static_cast<char>(i);
  for (const auto function : {crc32c, crc32c_portable}) {
    CHECK(function("123456789", 0) == 0xE3069283);
    CHECK(function(std::string(32, '\0'), 0) == 0x8A9136AA);
    CHECK(function(std::string(32, '\xFF'), 0) == 0x62A8AB43);
    CHECK(function(rising, 0) == 0x46DD794E);
    CHECK(function("", 0) == 0);
  }
}

TEST_CASE("CRC32C by instruction and by table agree on every length and go on where another ended") {
  std::mt19937 random(1);
  std::string text;
  for (std::size_t length = 0; length < 200; ++length) {
    REQUIRE(crc32c(text) == crc32c_portable(text));
    const std::size_t cut = length == 0 ? 0 : random() % length;
    const std::string_view view = text;
    REQUIRE(crc32c(view.substr(cut), crc32c(view.substr(0, cut))) == crc32c(text));
    text += static_cast<char>(random());
  }
}
