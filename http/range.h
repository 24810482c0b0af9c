// Byte ranges (RFC 9110 §14): one range is served, several are answered with the whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "http/date.h"

namespace vignette::http {

// Inclusive on both ends.
struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t size() const { return last - first + 1; }
  bool operator==(const ByteRange&) const = default;
};

struct RangeAnswer {
  enum class Kind : std::uint8_t {
    whole,          // no usable Range: answer 200
    part,           // answer 206 with `range`
    unsatisfiable,  // answer 416 with "Content-Range: bytes */length"
  };
  Kind kind = Kind::whole;
  ByteRange range;
};

// The value of Range against a representation of `length` bytes. Malformed, another unit or several ranges:
// whole. The end is clamped to the length.
RangeAnswer parse_range(std::string_view value, std::uint64_t length);

// One range whose representation length is not known yet (a cache miss).
struct RangeSpec {
  std::optional<std::uint64_t> first;  // absent: the last `last` bytes
  std::optional<std::uint64_t> last;   // absent: to the end
};
std::optional<RangeSpec> parse_range_spec(std::string_view value);
RangeAnswer resolve(const RangeSpec& spec, std::uint64_t length);

struct ContentRange {
  std::optional<ByteRange> range;       // absent in "bytes */1234"
  std::optional<std::uint64_t> length;  // absent in "bytes 0-9/*"
};
// nullopt when malformed, when last < first, or when the range does not fit the length.
std::optional<ContentRange> parse_content_range(std::string_view value);

inline constexpr std::size_t kContentRangeBytes = 70;
// "bytes 0-9/1234", returns the length.
std::size_t format_content_range(ByteRange range, std::uint64_t length,
                                 std::span<char, kContentRangeBytes> out);
// "bytes */1234".
std::size_t format_unsatisfied_range(std::uint64_t length, std::span<char, kContentRangeBytes> out);

// Whether Range may be honoured (RFC 9110 §13.1.5): true without If-Range (""), with a strong match of `etag`
// ("" when there is none), or with a date equal to `last_modified`, if that is a strong validator: at least
// one second older than `date` (the Date of the stored response).
bool if_range_holds(std::string_view if_range, std::string_view etag, std::optional<HttpDate> last_modified,
                    std::optional<HttpDate> date);

}  // namespace vignette::http
