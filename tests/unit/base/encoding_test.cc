#include <catch2/catch.hpp>

#include "base/strings.h"

using namespace vignette;

namespace {

std::string escaped(std::string_view text) {
  std::string out;
  append_json_escaped(out, text);
  return out;
}

std::string all_bytes() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  return bytes;
}

}  // namespace

TEST_CASE("hexadecimal goes there and back") {
  CHECK(hex_encode(std::string_view("\x00\x7f\xff", 3)) == "007fff");
  CHECK(hex_decode("007FfF") == std::string("\x00\x7f\xff", 3));
  CHECK(hex_decode("") == "");
  CHECK(hex_decode(hex_encode(all_bytes())) == all_bytes());
  for (auto bad : {"0", "0g", " 0", "0x", "000"}) CHECK_FALSE(hex_decode(bad));
}

TEST_CASE("base64 agrees with the vectors of RFC 4648 section 10") {
  std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                   {"f", "Zg=="},
                                                   {"fo", "Zm8="},
                                                   {"foo", "Zm9v"},
                                                   {"foob", "Zm9vYg=="},
                                                   {"fooba", "Zm9vYmE="},
                                                   {"foobar", "Zm9vYmFy"}};
  for (auto [plain, encoded] : vectors) {
    CHECK(base64_encode(plain) == encoded);
    CHECK(base64_decode(encoded) == plain);
  }
}

TEST_CASE("base64url has its own two digits and no padding") {
  CHECK(base64_encode("\xfb\xff") == "+/8=");
  CHECK(base64url_encode("\xfb\xff") == "-_8");
  CHECK(base64url_decode("-_8") == "\xfb\xff");
  for (std::size_t size = 0; size < 256; ++size) {
    std::string bytes = all_bytes().substr(0, size);
    CHECK(base64url_decode(base64url_encode(bytes)) == bytes);
    CHECK(base64_decode(base64_encode(bytes)) == bytes);
  }
}

TEST_CASE("malformed base64 is refused") {
  for (auto bad : {"Z", "Zg", "Zg=", "Zg===", "====", "Zm9v====", "Z===", "Zm8", "Zm=8", "Zg==Zg==", "Zm9v\n",
                   " Zm9", "-_8=", "Zh==", "Zm9="}) {
    INFO(bad);
    CHECK_FALSE(base64_decode(bad));
  }
  for (auto bad : {"Z", "Zg==", "+/8", "Zh", "Zm9", "Zm9v\n", "Zm9vY"}) {
    INFO(bad);
    CHECK_FALSE(base64url_decode(bad));
  }
}

TEST_CASE("percent encoding keeps the given set") {
  CHECK(percent_encode("a b/~\xff") == "a%20b%2F~%FF");
  CHECK(percent_encode("a b/c", kUnreserved.with("/")) == "a%20b/c");
  CHECK(percent_encode(std::string_view("\0%", 2)) == "%00%25");
  CHECK(percent_decode(percent_encode(all_bytes())) == all_bytes());
  CHECK(percent_decode(percent_encode(all_bytes(), CharSet())) == all_bytes());
}

TEST_CASE("a percent sign without two digits is refused") {
  CHECK(percent_decode("a+b%2f%2F") == "a+b//");
  for (auto bad : {"%", "%2", "%2g", "%g2", "a%", "%%20"}) {
    INFO(bad);
    CHECK_FALSE(percent_decode(bad));
  }
}

TEST_CASE("JSON strings escape quotes and controls and pass UTF-8") {
  CHECK(escaped("plain") == "plain");
  CHECK(escaped("\"\\/") == "\\\"\\\\/");
  CHECK(escaped("\b\f\n\r\t") == "\\b\\f\\n\\r\\t");
  CHECK(escaped(std::string_view("\0\x1f\x7f", 3)) == "\\u0000\\u001f\x7f");
  CHECK(escaped("Gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x93\xb7") ==
        "Gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x93\xb7");
}

TEST_CASE("bytes that are not UTF-8 become the replacement character") {
  const std::string kReplacement = "\xef\xbf\xbd";
  CHECK(escaped("a\xff"
                "b") == "a" + kReplacement + "b");
  CHECK(escaped("\xc3") == kReplacement);
  CHECK(escaped("\xc3(") == kReplacement + "(");
  CHECK(escaped("\xc0\xaf") == kReplacement + kReplacement);                     // overlong
  CHECK(escaped("\xed\xa0\x80") == kReplacement + kReplacement + kReplacement);  // a surrogate
  CHECK(escaped("\xf4\x90\x80\x80").size() == 12);                               // above U+10FFFF
  CHECK(escaped("\xe2\x82") == kReplacement + kReplacement);
  CHECK(escaped("\xf0\x9f\x93\"") == kReplacement + kReplacement + kReplacement + "\\\"");
  CHECK(to_utf8("\xc3\xbc\n\xfe") == "\xc3\xbc\n" + kReplacement);
}
