// Remainders of bit-reflected polynomials by tables, eight bytes a step. What crc.cc and crc32c.cc share.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace vignette::crc {

inline constexpr std::size_t kSlices = 8;  // bytes that one step takes

template <typename Word>
using Tables = std::array<std::array<Word, 256>, kSlices>;

// tables[k][b]: the remainder of byte b followed by k zero bytes. `polynomial` is bit-reflected.
template <typename Word>
constexpr Tables<Word> make_tables(Word polynomial) {
  Tables<Word> tables{};
  for (std::size_t byte = 0; byte < 256; ++byte) {
    Word remainder = static_cast<Word>(byte);
    for (int bit = 0; bit < 8; ++bit) {
      remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? polynomial : Word{0});
    }
    tables[0][byte] = remainder;
  }
  for (std::size_t k = 1; k < kSlices; ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const Word before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

template <typename Word>
Word advance(const Tables<Word>& tables, Word state, std::string_view bytes) {
  static_assert(std::endian::native == std::endian::little);
  while (bytes.size() >= kSlices) {
    std::uint64_t eight;
    std::memcpy(&eight, bytes.data(), sizeof eight);
    eight ^= state;
    state = 0;
    for (std::size_t k = 0; k < kSlices; ++k) {
      state ^= tables[kSlices - 1 - k][(eight >> (8 * k)) & 0xff];
    }
    bytes.remove_prefix(kSlices);
  }
  for (const char c : bytes) {
    state = (state >> 8) ^ tables[0][(state ^ static_cast<unsigned char>(c)) & 0xff];
  }
  return state;
}

}  // namespace vignette::crc
