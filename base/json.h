// Writes JSON (RFC 8259) by appending to a string: commas and quotes are its business, allocation only
// when the string has to grow.
//
//   JsonWriter json(line);
//   json.begin_object().field("status", 200).field("host", host).key("timings").begin_array();
//   json.value(0.5).end_array().end_object();
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vignette {

// One thread at a time. Misuse (a value without a key in an object, unbalanced ends) trips a DCHECK.
class JsonWriter {
 public:
  static constexpr unsigned kMaxDepth = 63;

  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);  // bytes that are not UTF-8 become U+FFFD
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(double number);  // not finite: null
  JsonWriter& value(std::same_as<bool> auto flag) { return literal(flag ? "true" : "false"); }
  template <std::integral T>
    requires(!std::same_as<T, bool> && !std::same_as<T, char>)
  JsonWriter& value(T number) {
    if constexpr (std::signed_integral<T>)
      return integer(std::int64_t{number});
    else
      return unsigned_integer(std::uint64_t{number});
  }
  JsonWriter& null() { return literal("null"); }
  // `number` with exactly `decimals` digits after the point (at most 9); not finite: null.
  JsonWriter& fixed(double number, int decimals);
  // Text that is JSON already.
  JsonWriter& raw(std::string_view json) { return literal(json); }

  template <typename T>
  JsonWriter& field(std::string_view name, const T& content) {
    return key(name).value(content);
  }
  JsonWriter& fixed_field(std::string_view name, double number, int decimals) {
    return key(name).fixed(number, decimals);
  }

 private:
  void before_value();
  void open(char bracket, bool object);
  void close(char bracket, bool object);
  JsonWriter& literal(std::string_view text);
  JsonWriter& integer(std::int64_t number);
  JsonWriter& unsigned_integer(std::uint64_t number);

  std::string& out_;
  std::uint64_t has_items_ = 0;  // bit per depth: a comma is due
  std::uint64_t is_object_ = 0;  // bit per depth
  unsigned depth_ = 0;
  bool after_key_ = false;
};

}  // namespace vignette
