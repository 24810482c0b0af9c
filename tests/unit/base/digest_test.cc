#include "base/digest.h"

#include <catch2/catch.hpp>
#include <string>

#include "base/crc.h"
#include "base/strings.h"

using namespace vignette;

namespace {

// One bit at a time, as the definition says.
template <typename Word>
Word by_bits(std::string_view bytes, Word polynomial) {
  Word state = static_cast<Word>(~Word{0});
  for (const char c : bytes) {
    state ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) state = (state >> 1) ^ ((state & 1) != 0 ? polynomial : Word{0});
  }
  return static_cast<Word>(~state);
}

std::string bytes_of(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 167 + i / 7);
  return bytes;
}

}  // namespace

TEST_CASE("MD5 and SHA-1 are those of their standards, and start afresh after each digest") {
  Md5 md5;
  CHECK(hex_encode(std::string(reinterpret_cast<const char*>(md5.finish().data()), 16)) ==
        "d41d8cd98f00b204e9800998ecf8427e");
  const Md5Digest abc = md5.update("a").update("bc").finish();
  CHECK(hex_encode(as_view(abc)) == "900150983cd24fb0d6963f7d28e17f72");
  Sha1 sha1;
  const Sha1Digest first = sha1.update("abc").finish();
  CHECK(hex_encode(as_view(first)) == "a9993e364706816aba3e25717850c26c9cd0d89d");
  const Sha1Digest nothing = sha1.finish();
  CHECK(hex_encode(as_view(nothing)) == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

TEST_CASE("CRCs have the check values of the catalogue") {
  CHECK(Crc32().update("123456789").value() == 0xcbf43926u);
  CHECK(Crc64Nvme().update("123456789").value() == 0xae8b14860a799888u);
  CHECK(Crc32().value() == 0);
  CHECK(Crc64Nvme().value() == 0);
}

TEST_CASE("CRCs are the same whatever the pieces, at every length around a step") {
  for (std::size_t size = 0; size < 40; ++size) {
    INFO(size);
    const std::string bytes = bytes_of(size);
    CHECK(Crc32().update(bytes).value() == by_bits<std::uint32_t>(bytes, 0xedb88320));
    CHECK(Crc64Nvme().update(bytes).value() == by_bits<std::uint64_t>(bytes, 0x9a6c9329ac4bc9b5));
    Crc64Nvme pieces;
    for (std::size_t at = 0; at < size; at += 3) pieces.update(std::string_view(bytes).substr(at, 3));
    CHECK(pieces.value() == Crc64Nvme().update(bytes).value());
  }
}
