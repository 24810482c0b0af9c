// Parses a head in one piece or byte by byte; the head keeps its buffer alive.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/parser.h"

namespace vignette::http::test {

struct ParsedRequest {
  std::string buffer;
  std::unique_ptr<RequestHead> head = std::make_unique<RequestHead>();
  Parsed parsed;
};

inline ParsedRequest parse_request(std::string_view text, const Limits& limits = {}) {
  ParsedRequest result;
  result.buffer = text;
  result.parsed = RequestParser(limits).parse(result.buffer, *result.head);
  return result;
}

// Each call sees one byte more, in fresh memory; the old memory is overwritten first.
template <typename Parser, typename Head>
Parsed parse_bytewise(Parser& parser, std::string_view text, Head& head, std::vector<char>& buffer) {
  Parsed parsed;
  for (std::size_t size = 1; size <= text.size(); ++size) {
    std::vector<char> larger(size);
    if (!buffer.empty()) std::memcpy(larger.data(), buffer.data(), buffer.size());
    larger[size - 1] = text[size - 1];
    std::fill(buffer.begin(), buffer.end(), '#');
    buffer = std::move(larger);
    parsed = parser.parse(buffer, head);
    if (!parsed.need_more()) break;
  }
  return parsed;
}

struct ParsedResponse {
  std::string buffer;
  std::unique_ptr<ResponseHead> head = std::make_unique<ResponseHead>();
  Parsed parsed;
};

inline ParsedResponse parse_response(std::string_view text, Method method = Method::get,
                                     bool upgrade_asked = false) {
  ParsedResponse result;
  result.buffer = text;
  result.parsed = ResponseParser(method, upgrade_asked).parse(result.buffer, *result.head);
  return result;
}

// Readable bytes for messages.
inline std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 300)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 32 && byte < 127) {
      out += c;
    } else {
      static constexpr char kHex[] = "0123456789abcdef";
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

// A string literal with NULs inside.
template <std::size_t N>
std::string_view raw(const char (&text)[N]) {
  return {text, N - 1};
}

}  // namespace vignette::http::test
