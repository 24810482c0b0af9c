// Writes small MaxMind databases: an IPv6 tree of 24-bit records over a data section.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vignette::geo {

class MmdbWriter {
 public:
  using Fields = std::map<std::string, std::string>;
  // Of values that text(), number(), real(), list() or table() have encoded.
  using Values = std::map<std::string, std::string>;

  explicit MmdbWriter(std::string type = "Test-Country", std::uint32_t build_epoch = 1'700'000'000)
      : type_(std::move(type)), build_epoch_(build_epoch) {}

  // The first `bits` bits of `network` get a record of these strings.
  void add(const std::array<std::uint8_t, 16>& network, unsigned bits, const Fields& fields) {
    add_raw(network, bits, encode(fields));
  }

  // `record` is put into the data section as it is.
  void add_raw(const std::array<std::uint8_t, 16>& network, unsigned bits, const std::string& record) {
    std::size_t node = 0;
    for (unsigned i = 0; i < bits; ++i) {
      const std::size_t side = network[i / 8] >> (7 - i % 8) & 1;
      if (i + 1 == bits) {
        nodes_[node][side] = {Kind::data, data_.size()};
        break;
      }
      if (nodes_[node][side].kind != Kind::node) {
        nodes_[node][side] = {Kind::node, nodes_.size()};
        nodes_.emplace_back();
      }
      node = nodes_[node][side].value;
    }
    data_ += record;
  }

  std::string bytes() const {
    std::string out;
    for (const auto& node : nodes_) {
      for (const Edge& edge : node) put24(out, record_of(edge));
    }
    out += std::string(16, '\0') + data_ + "\xab\xcd\xefMaxMind.com";
    return out + metadata();
  }

  static std::string text(std::string_view value) { return control(2, value.size()) + std::string(value); }
  static std::string number(std::uint32_t value) { return number(6, value); }
  static std::string real(double value) {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    std::string out = control(3, 8);
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(bits >> shift & 0xff);
    return out;
  }
  static std::string list(const std::vector<std::string>& values) {
    std::string out = control(11, values.size());
    for (const std::string& value : values) out += value;
    return out;
  }
  static std::string table(const Values& values) {
    std::string out = control(7, values.size());
    for (const auto& [key, value] : values) out += text(key) + value;
    return out;
  }

  static std::string encode(const Fields& fields) {
    std::string out = control(7, fields.size());
    for (const auto& [key, value] : fields) out += text(key) + text(value);
    return out;
  }

 private:
  enum class Kind : std::uint8_t { empty, node, data };
  struct Edge {
    Kind kind = Kind::empty;
    std::size_t value = 0;
  };

  std::size_t record_of(const Edge& edge) const {
    switch (edge.kind) {
      case Kind::empty:
        return nodes_.size();
      case Kind::node:
        return edge.value;
      case Kind::data:
        return nodes_.size() + 16 + edge.value;
    }
    return 0;
  }

  static void put24(std::string& out, std::size_t value) {
    for (const int shift : {16, 8, 0}) out += static_cast<char>(value >> shift & 0xff);
  }

  // Sizes below 29 + 256 + 65,536 only, enough for what tests store.
  static std::string control(unsigned type, std::size_t size) {
    const std::size_t short_size = size < 29 ? size : size < 285 ? 29 : 30;
    std::string out;
    if (type > 7) {
      out = {static_cast<char>(short_size), static_cast<char>(type - 7)};
    } else {
      out = {static_cast<char>(type << 5 | short_size)};
    }
    if (short_size == 29) out += static_cast<char>(size - 29);
    if (short_size == 30) {
      out += static_cast<char>((size - 285) >> 8);
      out += static_cast<char>((size - 285) & 0xff);
    }
    return out;
  }

  static std::string number(unsigned type, std::uint32_t value) {
    std::string bytes;
    for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(value >> shift & 0xff);
    bytes.erase(0, type == 5 ? 2 : 0);  // 16-bit
    return control(type, bytes.size()) + bytes;
  }

  std::string metadata() const {
    constexpr unsigned kUint16 = 5;
    constexpr unsigned kUint32 = 6;
    constexpr unsigned kUint64 = 9;
    constexpr unsigned kArray = 11;
    return control(7, 9) + text("node_count") + number(kUint32, static_cast<std::uint32_t>(nodes_.size())) +
           text("record_size") + number(kUint16, 24) + text("ip_version") + number(kUint16, 6) +
           text("database_type") + text(type_) + text("languages") + control(kArray, 0) +
           text("binary_format_major_version") + number(kUint16, 2) + text("binary_format_minor_version") +
           number(kUint16, 0) + text("build_epoch") + number(kUint64, build_epoch_) + text("description") +
           control(7, 0);
  }

  std::vector<std::array<Edge, 2>> nodes_ = std::vector<std::array<Edge, 2>>(1);
  std::string data_;
  std::string type_;
  std::uint32_t build_epoch_;
};

}  // namespace vignette::geo
