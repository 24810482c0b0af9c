#include "base/json.h"

#include <charconv>
#include <cmath>
#include <iterator>

#include "base/check.h"
#include "base/strings.h"

namespace vignette {

void JsonWriter::before_value() {
  std::uint64_t here = std::uint64_t{1} << depth_;
  if (after_key_) {
    after_key_ = false;
    return;
  }
  DCHECK(!(is_object_ & here));
  DCHECK(depth_ > 0 || !(has_items_ & here));
  if (has_items_ & here) out_ += ',';
  has_items_ |= here;
}

void JsonWriter::open(char bracket, bool object) {
  before_value();
  VCHECK(depth_ < kMaxDepth);
  std::uint64_t here = std::uint64_t{1} << ++depth_;
  has_items_ &= ~here;
  is_object_ = object ? is_object_ | here : is_object_ & ~here;
  out_ += bracket;
}

void JsonWriter::close(char bracket, bool object) {
  VCHECK(depth_ > 0);
  DCHECK(!after_key_ && ((is_object_ >> depth_ & 1) != 0) == object);
  --depth_;
  out_ += bracket;
}

JsonWriter& JsonWriter::begin_object() { return open('{', true), *this; }
JsonWriter& JsonWriter::end_object() { return close('}', true), *this; }
JsonWriter& JsonWriter::begin_array() { return open('[', false), *this; }
JsonWriter& JsonWriter::end_array() { return close(']', false), *this; }

JsonWriter& JsonWriter::key(std::string_view name) {
  std::uint64_t here = std::uint64_t{1} << depth_;
  DCHECK((is_object_ & here) && !after_key_);
  if (has_items_ & here) out_ += ',';
  has_items_ |= here;
  out_ += '"';
  append_json_escaped(out_, name);
  out_ += "\":";
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  before_value();
  out_ += '"';
  append_json_escaped(out_, text);
  out_ += '"';
  return *this;
}

JsonWriter& JsonWriter::value(double number) {
  if (!std::isfinite(number)) return null();
  char digits[40];
  auto [end, error] = std::to_chars(digits, digits + sizeof(digits), number);
  return literal({digits, static_cast<std::size_t>(end - digits)});
}

JsonWriter& JsonWriter::fixed(double number, int decimals) {
  DCHECK(decimals >= 0 && decimals <= 9);
  if (!std::isfinite(number)) return null();
  char digits[340];  // 309 digits before the point, the sign, the point, 9 after it
  auto [end, error] =
      std::to_chars(digits, digits + sizeof(digits), number, std::chars_format::fixed, decimals);
  return literal({digits, static_cast<std::size_t>(end - digits)});
}

JsonWriter& JsonWriter::literal(std::string_view text) {
  before_value();
  out_ += text;
  return *this;
}

JsonWriter& JsonWriter::integer(std::int64_t number) {
  char digits[24];
  return literal({digits, std::to_chars(digits, std::end(digits), number).ptr});
}

JsonWriter& JsonWriter::unsigned_integer(std::uint64_t number) {
  char digits[24];
  return literal({digits, std::to_chars(digits, std::end(digits), number).ptr});
}

}  // namespace vignette
