#include "conf/address.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/strings.h"

namespace vignette::conf {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned kMappedBits = 96;
constexpr std::size_t kMaxUnixPath = sizeof(sockaddr_un::sun_path) - 1;
constexpr std::size_t kMaxHost = 253;
constexpr std::size_t kMaxLabel = 63;

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool is_mapped(const IpBytes& address) { return std::equal(kMapped.begin(), kMapped.end(), address.begin()); }

bool is_label(std::string_view label) {
  if (label.empty() || label.size() > kMaxLabel || label.front() == '-' || label.back() == '-') return false;
  return std::ranges::all_of(
      label, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; });
}

// A last label of digits only would be a mistyped IPv4 address.
bool is_dns_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxHost) return false;
  std::size_t start = 0;
  while (true) {
    const std::size_t dot = name.find('.', start);
    const std::string_view label = name.substr(start, dot == name.npos ? dot : dot - start);
    if (!is_label(label)) return false;
    if (dot == name.npos) {
      return !std::ranges::all_of(label, [](char c) { return c >= '0' && c <= '9'; });
    }
    start = dot + 1;
  }
}

bool bit(const IpBytes& address, unsigned index) { return (address[index / 8] >> (7 - index % 8) & 1) != 0; }

std::string format_ip(const IpBytes& address, bool v4) {
  char text[INET6_ADDRSTRLEN] = "";
  if (v4) {
    inet_ntop(AF_INET, address.data() + kMapped.size(), text, sizeof(text));
  } else {
    inet_ntop(AF_INET6, address.data(), text, sizeof(text));
  }
  return text;
}

}  // namespace

std::optional<IpBytes> parse_ip(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN] = "";
  if (text.empty() || text.size() >= sizeof(buffer) || text.find('\0') != text.npos) return std::nullopt;
  text.copy(buffer, text.size());
  IpBytes bytes{};
  if (inet_pton(AF_INET, buffer, bytes.data() + kMapped.size()) == 1) {
    std::ranges::copy(kMapped, bytes.begin());
    return bytes;
  }
  if (inet_pton(AF_INET6, buffer, bytes.data()) == 1) return bytes;
  return std::nullopt;
}

std::string Address::to_string() const {
  if (kind == Kind::unix_socket) return "unix:" + path;
  const bool v6 = host.find(':') != host.npos;
  return v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::optional<Address> parse_address(std::string_view text) {
  Address address;
  if (text.starts_with("unix:")) {
    address.kind = Address::Kind::unix_socket;
    address.path = text.substr(5);
    const bool usable = !address.path.empty() && address.path.size() <= kMaxUnixPath &&
                        address.path.find('\0') == std::string::npos;
    return usable ? std::optional(address) : std::nullopt;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return std::nullopt;
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1));
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!port || (host.find(':') != host.npos) != bracketed) return std::nullopt;
  address.port = *port;
  address.host = host;
  lower_in_place(address.host);
  address.is_ip = parse_ip(address.host).has_value();
  if (!address.is_ip && (bracketed || !is_dns_name(address.host))) return std::nullopt;
  return address;
}

std::optional<IpPrefix> IpPrefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view literal = text.substr(0, slash);
  const auto network = parse_ip(literal);
  if (!network) return std::nullopt;
  const bool v4 = literal.find(':') == literal.npos;
  unsigned bits = 128;
  if (slash != text.npos) {
    const auto length = parse_number<unsigned>(text.substr(slash + 1));
    if (!length || *length > (v4 ? 32U : 128U)) return std::nullopt;
    bits = *length + (v4 ? kMappedBits : 0);
  }
  for (unsigned i = bits; i < 128; ++i) {
    if (bit(*network, i)) return std::nullopt;
  }
  return IpPrefix(*network, bits, v4 || (is_mapped(*network) && bits >= kMappedBits));
}

bool IpPrefix::contains(const IpBytes& address) const {
  if (is_mapped(address) != v4_) return false;
  const unsigned whole = bits_ / 8;
  if (!std::equal(network_.begin(), network_.begin() + whole, address.begin())) return false;
  if (bits_ % 8 == 0) return true;
  return network_[whole] >> (8 - bits_ % 8) == address[whole] >> (8 - bits_ % 8);
}

std::string IpPrefix::to_string() const {
  return fmt::format("{}/{}", format_ip(network_, v4_), v4_ ? bits_ - kMappedBits : bits_);
}

}  // namespace vignette::conf
