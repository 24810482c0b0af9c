#include "base/hash.h"

#include <catch2/catch.hpp>
#include <string>
#include <unordered_map>

#include "base/hmac.h"
#include "base/strings.h"

using namespace vignette;

TEST_CASE("stored hash values do not change") {
  // The values of xxhsum -H3 and -H2 (XXH3 64 and 128 bits) for the empty input.
  CHECK(hash64("") == 0x2d06800538d394c2u);
  CHECK(hash128("") == Hash128{0x6001c324468d497fu, 0x99aa06d3014798d8u});
  CHECK(hash64("abc") == 0x78af5f94892f3950u);
  CHECK(hash128("abc") == Hash128{0x78af5f94892f3950u, 0x06b05ab6733a6185u});
}

TEST_CASE("a seed makes another hash") {
  CHECK(hash64("abc", 1) != hash64("abc"));
  CHECK(hash128("abc", 1) != hash128("abc"));
  CHECK(hash128("abc") != hash128("abd"));
}

TEST_CASE("a map keyed by strings is looked up by a view") {
  std::unordered_map<std::string, int, StringHash, std::equal_to<>> map = {{"photo", 7}};
  CHECK(map.find(std::string_view("photo"))->second == 7);
  CHECK(map.find(std::string_view("photos")) == map.end());
}

TEST_CASE("SHA-256 agrees with the vectors of FIPS 180-4") {
  CHECK(to_hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(to_hex(sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(to_hex(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(to_hex(sha256(std::string(1'000'000, 'a'))) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("SHA-256 in pieces is SHA-256 of the whole, and a copy goes its own way") {
  std::string text(1000, 'x');
  Sha256 hash;
  for (std::size_t at = 0; at < text.size(); at += 37) hash.update(std::string_view(text).substr(at, 37));
  Sha256 copy = hash;
  CHECK(hash.finish() == sha256(text));
  CHECK(copy.update("y").finish() == sha256(text + "y"));
  CHECK(hash.update("abc").finish() == sha256("abc"));
}

TEST_CASE("HMAC-SHA-256 agrees with the vectors of RFC 4231") {
  struct Vector {
    std::string key, data, expected;
  };
  const Vector vectors[] = {
      {std::string(20, '\x0b'), "Hi There",
       "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {"Jefe", "what do ya want for nothing?",
       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {std::string(20, '\xaa'), std::string(50, '\xdd'),
       "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
      {hex_decode("0102030405060708090a0b0c0d0e0f10111213141516171819").value(), std::string(50, '\xcd'),
       "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
      {std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First",
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
      {std::string(131, '\xaa'),
       "This is a test using a larger than block-size key and a larger than block-size data. The key needs "
       "to be "
       "hashed before being used by the HMAC algorithm.",
       "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
  };
  for (const Vector& vector : vectors) CHECK(to_hex(hmac_sha256(vector.key, vector.data)) == vector.expected);
}

TEST_CASE("A hash of pieces is that of the whole, however it is cut") {
  const std::string text(100'000, 'h');
  for (const std::size_t piece : {1u, 7u, 240u, 4096u, 100'000u}) {
    Hasher128 hasher;
    for (std::size_t at = 0; at < text.size(); at += piece)
      hasher.add(std::string_view(text).substr(at, piece));
    CHECK(hasher.value() == hash128(text));
  }
  CHECK(Hasher128().value() == hash128(""));
}
