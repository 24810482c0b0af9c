// Character classes of the HTTP grammars as one table of bits, and the scan for control characters.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace vignette::http::chars {

enum Class : std::uint8_t {
  kToken = 1,       // RFC 9110 §5.6.2
  kTarget = 2,      // what we let into a request target: RFC 3986 and what browsers leave raw (|[]{}^`)
  kHost = 4,        // letters, digits, '-', '_'
  kUnreserved = 8,  // RFC 3986 §2.3
  kHex = 16,
  kDigit = 32,
  kPathOnly = 64,  // as kTarget without '?', '{', '}', '^', '`'
  kControl = 128,  // below SP but HTAB, and DEL
};

constexpr bool is_alpha(unsigned c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }
constexpr bool is_digit(unsigned c) { return c >= '0' && c <= '9'; }

consteval std::array<std::uint8_t, 256> make_table() {
  std::array<std::uint8_t, 256> table{};
  const auto mark = [&](std::string_view set, unsigned bits) {
    for (const char c : set) {
      std::uint8_t& entry = table[static_cast<unsigned char>(c)];
      entry = static_cast<std::uint8_t>(entry | bits);
    }
  };
  for (unsigned c = 0; c < 256; ++c) {
    unsigned bits = 0;
    if (is_alpha(c) || is_digit(c)) bits |= kToken | kTarget | kHost | kUnreserved | kPathOnly;
    if (is_digit(c)) bits |= kHex | kDigit;
    if ((c | 32) >= 'a' && (c | 32) <= 'f') bits |= kHex;
    if ((c < 32 && c != '\t') || c == 127) bits |= kControl;
    table[c] = static_cast<std::uint8_t>(bits);
  }
  mark("!#$%&'*+-.^_`|~", kToken);
  mark("-._~", kUnreserved);
  mark("-_", kHost);
  mark("-._~!$&'()*+,;=:@%/|[]", kTarget | kPathOnly);
  mark("?{}^`", kTarget);
  return table;
}
inline constexpr std::array<std::uint8_t, 256> kTable = make_table();

constexpr bool is(char c, unsigned classes) { return (kTable[static_cast<unsigned char>(c)] & classes) != 0; }

constexpr bool all(std::string_view text, unsigned classes) {
  for (const char c : text) {
    if (!is(c, classes)) return false;
  }
  return true;
}

constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char l = static_cast<char>(c | 32);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

// The first control character (but HTAB) in [from, end), or end.
inline const char* find_control(const char* from, const char* end) {
#ifdef __SSE2__
  const __m128i unit_separator = _mm_set1_epi8(0x1F);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7F);
  for (; end - from >= 16; from += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, unit_separator), bytes);
    const __m128i bad =
        _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low), _mm_cmpeq_epi8(bytes, del));
    const unsigned mask = static_cast<unsigned>(_mm_movemask_epi8(bad));
    if (mask != 0) return from + __builtin_ctz(mask);
  }
#endif
  while (from != end && !is(*from, kControl)) ++from;
  return from;
}

}  // namespace vignette::http::chars
