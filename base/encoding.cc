// The encodings of strings.h: hexadecimal, base64, percent, JSON strings.
#include <array>

#include "base/strings.h"

namespace vignette {
namespace {

constexpr std::string_view kLowerDigits = "0123456789abcdef";
constexpr std::string_view kUpperDigits = "0123456789ABCDEF";
constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase64Url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<signed char, 256> reverse(std::string_view alphabet) {
  std::array<signed char, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    table[static_cast<unsigned char>(alphabet[i])] = static_cast<signed char>(i);
  }
  return table;
}
constexpr auto kFromBase64 = reverse(kBase64);
constexpr auto kFromBase64Url = reverse(kBase64Url);

void append_hex_digits(std::string& out, char c, std::string_view digits) {
  auto byte = static_cast<unsigned char>(c);
  out += digits[byte >> 4];
  out += digits[byte & 15];
}

std::string encode_64(std::string_view bytes, std::string_view alphabet) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (char c : bytes) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    for (count += 8; count >= 6; count -= 6) out += alphabet[bits >> (count - 6) & 63];
  }
  if (count > 0) out += alphabet[bits << (6 - count) & 63];
  return out;
}

// No padding in `text`.
std::optional<std::string> decode_64(std::string_view text, const std::array<signed char, 256>& table) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (char c : text) {
    signed char value = table[static_cast<unsigned char>(c)];
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 255);
    }
  }
  if ((bits & ((1u << count) - 1)) != 0) return std::nullopt;
  return out;
}

bool is_continuation(std::string_view text, std::size_t at, unsigned low = 0x80, unsigned high = 0xbf) {
  if (at >= text.size()) return false;
  auto byte = static_cast<unsigned char>(text[at]);
  return byte >= low && byte <= high;
}

// The size of the well-formed UTF-8 sequence (Unicode table 3-7) at `at`, whose first byte is not ASCII; or
// 0.
std::size_t utf8_size(std::string_view text, std::size_t at) {
  auto first = static_cast<unsigned char>(text[at]);
  if (first >= 0xc2 && first <= 0xdf) return is_continuation(text, at + 1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    unsigned low = first == 0xe0 ? 0xa0 : 0x80;
    unsigned high = first == 0xed ? 0x9f : 0xbf;
    return is_continuation(text, at + 1, low, high) && is_continuation(text, at + 2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    unsigned low = first == 0xf0 ? 0x90 : 0x80;
    unsigned high = first == 0xf4 ? 0x8f : 0xbf;
    bool whole = is_continuation(text, at + 1, low, high) && is_continuation(text, at + 2) &&
                 is_continuation(text, at + 3);
    return whole ? 4 : 0;
  }
  return 0;
}

// Appends the character at `at`, or U+FFFD for a byte that belongs to none; returns how many bytes of `text`
// it took.
std::size_t append_character(std::string& out, std::string_view text, std::size_t at) {
  std::size_t size = static_cast<unsigned char>(text[at]) < 0x80 ? 1 : utf8_size(text, at);
  out.append(size == 0 ? "\xef\xbf\xbd" : text.substr(at, size));
  return size == 0 ? 1 : size;
}

void append_json_control(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      append_hex_digits(out, c, kLowerDigits);
  }
}

constexpr bool is_plain_json(char c) {
  auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

}  // namespace

std::string hex_encode(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (char c : bytes) append_hex_digits(out, c, kLowerDigits);
  return out;
}

std::optional<std::string> hex_decode(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    int high = hex_value(text[i]);
    int low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high << 4 | low);
  }
  return out;
}

std::string base64_encode(std::string_view bytes) {
  std::string out = encode_64(bytes, kBase64);
  out.append((4 - out.size() % 4) % 4, '=');
  return out;
}

std::string base64url_encode(std::string_view bytes) { return encode_64(bytes, kBase64Url); }

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return decode_64(text, kFromBase64);
}

std::optional<std::string> base64url_decode(std::string_view text) { return decode_64(text, kFromBase64Url); }

std::string percent_encode(std::string_view bytes, const CharSet& keep) {
  std::string out;
  out.reserve(bytes.size());
  for (char c : bytes) {
    if (keep.contains(c)) {
      out += c;
    } else {
      out += '%';
      append_hex_digits(out, c, kUpperDigits);
    }
  }
  return out;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    int high = hex_value(text[i + 1]);
    int low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return out;
}

std::string to_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) at += append_character(out, text, at);
  return out;
}

void append_json_escaped(std::string& out, std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t plain = at;
    while (plain < text.size() && is_plain_json(text[plain])) ++plain;
    out.append(text.substr(at, plain - at));
    at = plain;
    if (at == text.size()) return;
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      append_json_control(out, text[at++]);
    } else {
      at += append_character(out, text, at);
    }
  }
}

}  // namespace vignette
