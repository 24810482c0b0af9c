// Text helpers that the standard lacks: ASCII only, no locale, no exceptions, strict about input.
// Views returned here point into the argument.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace vignette {

constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_alpha(char c) { return to_lower(c) >= 'a' && to_lower(c) <= 'z'; }
// 0 to 15, or -1.
constexpr int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  return to_lower(c) >= 'a' && to_lower(c) <= 'f' ? to_lower(c) - 'a' + 10 : -1;
}

std::string to_lower(std::string_view text);
void lower_in_place(std::string& text);
bool iequals(std::string_view a, std::string_view b);
bool istarts_with(std::string_view text, std::string_view prefix);
// Removes spaces and tabs at both ends (OWS, RFC 9110 section 5.6.3).
std::string_view trim(std::string_view text);

// One or more digits and nothing else (no sign, no space); nullopt otherwise or above `max`.
std::optional<std::uint64_t> parse_u64(std::string_view text,
                                       std::uint64_t max = std::numeric_limits<std::uint64_t>::max());
// The same with hexadecimal digits of either case, no prefix.
std::optional<std::uint64_t> parse_hex_u64(std::string_view text);
void append_u64(std::string& out, std::uint64_t value);

// Lower case. Decoding takes both cases and an even number of digits.
std::string hex_encode(std::string_view bytes);
std::optional<std::string> hex_decode(std::string_view text);

// RFC 4648 section 4: with padding.
std::string base64_encode(std::string_view bytes);
// RFC 4648 section 5, without padding.
std::string base64url_encode(std::string_view bytes);
// Strict: exact padding (none for base64url), no white space, no bits left over after the last byte.
std::optional<std::string> base64_decode(std::string_view text);
std::optional<std::string> base64url_decode(std::string_view text);

// A set of byte values.
class CharSet {
 public:
  constexpr CharSet() = default;
  constexpr explicit CharSet(std::string_view members) {
    for (char c : members) add(c);
  }
  constexpr bool contains(char c) const {
    auto byte = static_cast<unsigned char>(c);
    return (bits_[byte / 64] >> (byte % 64)) & 1;
  }
  constexpr CharSet with(std::string_view more) const {
    CharSet result = *this;
    for (char c : more) result.add(c);
    return result;
  }

 private:
  constexpr void add(char c) {
    auto byte = static_cast<unsigned char>(c);
    bits_[byte / 64] |= std::uint64_t{1} << (byte % 64);
  }
  std::array<std::uint64_t, 4> bits_{};
};

// RFC 3986 section 2.3.
inline constexpr CharSet kUnreserved{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"};

// Of a path whose bytes are one name, as of a key in a store.
inline constexpr CharSet kUnreservedPath = kUnreserved.with("/");

// Bytes outside `keep` become %XX in upper case.
std::string percent_encode(std::string_view bytes, const CharSet& keep = kUnreserved);
// nullopt when a '%' is not followed by two hexadecimal digits. "+" stays.
std::optional<std::string> percent_decode(std::string_view text);

// for (std::string_view part : split(text, ',')): parts between separators, untrimmed, empty ones
// included; an empty text has one empty part. Valid as long as `text`.
class SplitView {
 public:
  class Iterator {
   public:
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    Iterator(std::string_view text, char separator) : rest_(text), separator_(separator), done_(false) {
      cut();
    }
    std::string_view operator*() const { return part_; }
    Iterator& operator++() {
      if (last_) {
        done_ = true;
      } else {
        rest_.remove_prefix(part_.size() + 1);
        cut();
      }
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return done_; }

   private:
    void cut() {
      std::size_t end = rest_.find(separator_);
      last_ = end == std::string_view::npos;
      part_ = rest_.substr(0, end);
    }
    std::string_view rest_;
    std::string_view part_;
    char separator_ = ',';
    bool last_ = true;
    bool done_ = true;
  };

  SplitView(std::string_view text, char separator) : text_(text), separator_(separator) {}
  Iterator begin() const { return Iterator(text_, separator_); }
  std::default_sentinel_t end() const { return {}; }

 private:
  std::string_view text_;
  char separator_;
};
inline SplitView split(std::string_view text, char separator) { return SplitView(text, separator); }

// Before and after the first separator; without one: the whole text and nothing.
struct Halves {
  std::string_view before;
  std::string_view after;
  bool found = false;
};
Halves split_once(std::string_view text, char separator);

// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b);

// Time depends on the sizes only.
bool constant_time_equal(std::string_view a, std::string_view b);

// `text` with each byte that does not belong to well-formed UTF-8 replaced by U+FFFD.
std::string to_utf8(std::string_view text);

// What stands between the quotes of a JSON string (RFC 8259 section 7). Bytes that are not UTF-8
// become U+FFFD, so the result is always valid. Allocates only when `out` has to grow.
void append_json_escaped(std::string& out, std::string_view text);

}  // namespace vignette
