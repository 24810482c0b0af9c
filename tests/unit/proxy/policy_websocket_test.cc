#include <catch2/catch.hpp>

#include <string_view>
#include <utility>
#include <vector>

#include "proxy/policy/websocket.h"

using namespace vignette;
using namespace vignette::proxy;

namespace {

using Lines = std::vector<std::pair<std::string_view, std::string_view>>;

bool is_handshake(const Lines& lines) {
  http::FieldList fields;
  for (const auto& [name, value] : lines) REQUIRE(fields.add(name, value));
  return is_websocket_handshake(fields);
}

constexpr std::pair<std::string_view, std::string_view> kKey{"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="};
constexpr std::pair<std::string_view, std::string_view> kVersion{"sec-websocket-version", "13"};

}  // namespace

TEST_CASE("A handshake has one key of 16 bytes in base64 and one version") {
  CHECK(is_handshake({kKey, kVersion}));
  CHECK(is_handshake({{"sec-websocket-key", "+/+/AAAAAAAAAAAAAAAA0g=="}, kVersion}));
  CHECK(is_handshake({kKey, {"sec-websocket-version", "8"}}));  // the origin says which it speaks
  CHECK_FALSE(is_handshake({}));
  CHECK_FALSE(is_handshake({kKey}));
  CHECK_FALSE(is_handshake({kVersion}));
  CHECK_FALSE(is_handshake({kKey, kKey, kVersion}));
  CHECK_FALSE(is_handshake({kKey, kVersion, kVersion}));
}

TEST_CASE("A key of another length or of other characters is none") {
  for (std::string_view key :
       {"", "==", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZQAA==", "dGhlIHNhbXBsZSBub25jZ===",
        "dGhlIHNhbXBsZSBub25j-_==", "dGhlIHNhbXBsZSBub25j Q=="}) {
    INFO(key);
    CHECK_FALSE(is_handshake({{"sec-websocket-key", key}, kVersion}));
  }
}
