// Frames of HTTP/2 as bytes, written without any library, and read with nghttp2's HPACK decoder alone.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"

namespace vignette::test::h2 {

enum Type : std::uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kReset = 3,
  kSettings = 4,
  kPush = 5,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
  kPriorityUpdate = 16,
};
enum Flag : std::uint8_t { kNone = 0, kEnd = 1, kAck = 1, kHeadEnd = 4, kPadded = 8, kHasPriority = 32 };

inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

inline std::string number(std::uint64_t value, int bytes) {
  std::string text;
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift);
  return text;
}

inline std::string frame(std::uint8_t type, unsigned flags, std::uint32_t stream,
                         std::string_view payload = "") {
  std::string bytes = number(static_cast<std::uint32_t>(payload.size()), 3);
  bytes += static_cast<char>(type);
  bytes += static_cast<char>(flags);
  return bytes + number(stream, 4) + std::string(payload);
}

using Fields = std::vector<std::pair<std::string, std::string>>;

// A length of HPACK with a prefix of 7 bits (RFC 7541 section 5.1), and the text behind it as it is.
inline std::string hpack_text(std::string_view text) {
  std::string bytes;
  std::size_t size = text.size();
  if (size < 127) {
    bytes += static_cast<char>(size);
  } else {
    bytes += '\x7F';
    for (size -= 127; size >= 128; size /= 128) bytes += static_cast<char>(size % 128 + 128);
    bytes += static_cast<char>(size);
  }
  return bytes + std::string(text);
}

// Each field as a literal that no table remembers.
inline std::string block(const Fields& fields) {
  std::string bytes;
  for (const auto& [name, value] : fields) bytes += '\0' + hpack_text(name) + hpack_text(value);
  return bytes;
}

inline Fields request(std::string_view method, std::string_view path, Fields more = {}) {
  Fields fields = {{":method", std::string(method)},
                   {":scheme", "http"},
                   {":authority", "test.local"},
                   {":path", std::string(path)}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}
inline Fields get(std::string_view path, Fields more = {}) { return request("GET", path, std::move(more)); }

inline std::string headers(std::uint32_t stream, const Fields& fields, unsigned flags = kEnd | kHeadEnd) {
  return frame(kHeaders, flags, stream, block(fields));
}
inline std::string data(std::uint32_t stream, std::string_view bytes, unsigned flags = kNone) {
  return frame(kData, flags, stream, bytes);
}
inline std::string settings(const std::vector<std::pair<int, std::uint32_t>>& values = {}) {
  std::string payload;
  for (const auto& [id, value] : values)
    payload += number(static_cast<std::uint32_t>(id), 2) + number(value, 4);
  return frame(kSettings, kNone, 0, payload);
}
inline std::string window_update(std::uint32_t stream, std::uint32_t bytes) {
  return frame(kWindowUpdate, kNone, stream, number(bytes, 4));
}
inline std::string reset(std::uint32_t stream, std::uint32_t error) {
  return frame(kReset, kNone, stream, number(error, 4));
}
inline std::string greeting() { return std::string(kPreface) + settings(); }

struct Frame {
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
  std::uint32_t stream = 0;
  std::string payload;

  bool ends() const { return (type == kData || type == kHeaders) && (flags & kEnd) != 0; }
  // Of RST_STREAM and GOAWAY.
  std::uint32_t error() const { return read(type == kGoaway ? 4 : 0); }
  std::uint32_t read(std::size_t at) const {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(payload.at(at + i));
    return value;
  }
};

// Takes the first whole frame off `bytes`.
inline std::optional<Frame> take_frame(std::string& bytes) {
  if (bytes.size() < 9) return std::nullopt;
  const auto byte = [&](std::size_t at) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at]));
  };
  const std::size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
  if (bytes.size() < 9 + size) return std::nullopt;
  Frame frame{.type = static_cast<std::uint8_t>(byte(3)),
              .flags = static_cast<std::uint8_t>(byte(4)),
              .stream = (byte(5) & 0x7F) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8),
              .payload = bytes.substr(9, size)};
  bytes.erase(0, 9 + size);
  return frame;
}

class Decoder {
 public:
  Decoder() { VCHECK(nghttp2_hd_inflate_new(&inflater_) == 0); }
  ~Decoder() { nghttp2_hd_inflate_del(inflater_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // The fields of a whole block.
  Fields decode(std::string_view bytes) {
    Fields fields;
    const auto* at = reinterpret_cast<const std::uint8_t*>(bytes.data());
    const auto* const end = at + bytes.size();
    for (;;) {
      nghttp2_nv field;
      int flags = 0;
      const ssize_t taken =
          nghttp2_hd_inflate_hd2(inflater_, &field, &flags, at, static_cast<std::size_t>(end - at), 1);
      VCHECK(taken >= 0);
      at += taken;
      if (flags & NGHTTP2_HD_INFLATE_EMIT) {
        fields.emplace_back(std::string(reinterpret_cast<char*>(field.name), field.namelen),
                            std::string(reinterpret_cast<char*>(field.value), field.valuelen));
      }
      if (flags & NGHTTP2_HD_INFLATE_FINAL) break;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
    return fields;
  }

 private:
  nghttp2_hd_inflater* inflater_ = nullptr;
};

}  // namespace vignette::test::h2
