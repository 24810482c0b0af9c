#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

#include <fmt/core.h>

namespace vignette::net {
namespace {

constexpr std::array<std::uint8_t, 12> kV4Prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN + 1];
  if (text.size() >= sizeof terminated || text.find('\0') != text.npos) return std::nullopt;
  terminated[text.copy(terminated, text.size())] = '\0';
  std::uint8_t raw[16];
  if (::inet_pton(AF_INET, terminated, raw) == 1) return from_v4(raw);
  if (::inet_pton(AF_INET6, terminated, raw) == 1) return from_v6(raw);
  return std::nullopt;
}

IpAddress IpAddress::from_v4(const void* four_bytes) {
  IpAddress address;
  std::ranges::copy(kV4Prefix, address.bytes_.begin());
  std::memcpy(address.bytes_.data() + 12, four_bytes, 4);
  return address;
}

IpAddress IpAddress::from_v6(const void* sixteen_bytes) {
  IpAddress address;
  std::memcpy(address.bytes_.data(), sixteen_bytes, 16);
  return address;
}

bool IpAddress::is_v4() const { return std::ranges::equal(std::span(bytes_).first(12), kV4Prefix); }

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[12] == 127;
  return bytes_[15] == 1 &&
         std::ranges::all_of(std::span(bytes_).first(15), [](auto byte) { return byte == 0; });
}

bool IpAddress::is_any() const {
  const auto rest = std::span(bytes_).subspan(is_v4() ? 12 : 0);
  return std::ranges::all_of(rest, [](auto byte) { return byte == 0; });
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  const bool v4 = is_v4();
  ::inet_ntop(v4 ? AF_INET : AF_INET6, bytes_.data() + (v4 ? 12 : 0), text, sizeof text);
  return text;
}

Address::Address(IpAddress ip, std::uint16_t port)
    : ip_(ip), port_(port), family_(ip.is_v4() ? Family::v4 : Family::v6) {}

Address Address::unix_socket(std::string path) {
  Address address;
  address.family_ = Family::unix_path;
  address.path_ = std::move(path);
  return address;
}

Result<Address> Address::parse(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  const auto bad = [](const char* why) { return fail(Code::malformed, Blame::internal, why); };
  if (text.starts_with(kUnix)) {
    const std::string_view path = text.substr(kUnix.size());
    if (path.empty() || path.find('\0') != path.npos) return bad("a unix socket needs a path");
    if (path.size() >= sizeof(sockaddr_un::sun_path))
      return bad("the path of a unix socket has at most 107 bytes");
    return unix_socket(std::string(path));
  }
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return bad("an address needs a port");
  std::string_view host = text.substr(0, colon);
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1));
  if (!port) return bad("a port is a number up to 65535");
  const bool brackets = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  if (brackets != (host.find(':') != host.npos))
    return bad("an IPv6 address stands in brackets, and only it");
  const auto ip = IpAddress::parse(host);
  if (!ip) return bad("not an IP address");
  return Address(*ip, *port);
}

Address Address::from_sockaddr(const sockaddr* address, socklen_t length) {
  if (length < static_cast<socklen_t>(sizeof(sa_family_t))) return {};
  if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in v4;
    std::memcpy(&v4, address, sizeof v4);
    return Address(IpAddress::from_v4(&v4.sin_addr), ntohs(v4.sin_port));
  }
  if (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 v6;
    std::memcpy(&v6, address, sizeof v6);
    return Address(IpAddress::from_v6(&v6.sin6_addr), ntohs(v6.sin6_port));
  }
  if (address->sa_family == AF_UNIX) {
    const char* path = reinterpret_cast<const sockaddr_un*>(address)->sun_path;
    const std::size_t room = length - offsetof(sockaddr_un, sun_path);
    return unix_socket(std::string(path, room == 0 ? 0 : ::strnlen(path, room)));
  }
  return {};
}

bool Address::is_loopback() const { return is_unix() || (family_ != Family::none && ip_.is_loopback()); }

std::string Address::to_string() const {
  switch (family_) {
    case Family::none:
      return "";
    case Family::v4:
      return fmt::format("{}:{}", ip_.to_string(), port_);
    case Family::v6:
      return fmt::format("[{}]:{}", ip_.to_string(), port_);
    case Family::unix_path:
      return "unix:" + path_;
  }
  return "";
}

socklen_t Address::to_sockaddr(sockaddr_storage& storage) const {
  storage = {};
  if (family_ == Family::v4) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port_);
    std::memcpy(&v4.sin_addr, ip_.bytes().data() + 12, 4);
    return sizeof v4;
  }
  if (family_ == Family::v6) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port_);
    std::memcpy(&v6.sin6_addr, ip_.bytes().data(), 16);
    return sizeof v6;
  }
  if (family_ == Family::unix_path) {
    auto& local = reinterpret_cast<sockaddr_un&>(storage);
    if (path_.empty() || path_.size() >= sizeof local.sun_path) return 0;
    local.sun_family = AF_UNIX;
    path_.copy(local.sun_path, path_.size());
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size() + 1);
  }
  return 0;
}

}  // namespace vignette::net
