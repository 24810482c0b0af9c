// Addresses as values: an IP address, and what a socket can be bound or connected to.
#pragma once

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace vignette::net {

// IPv4 is kept as its v4-mapped IPv6 form, so that ::ffff:10.0.0.1 and 10.0.0.1 are one address.
class IpAddress {
 public:
  constexpr IpAddress() = default;                               // ::
  static std::optional<IpAddress> parse(std::string_view text);  // no brackets, no zone
  static IpAddress from_v4(const void* four_bytes);
  static IpAddress from_v6(const void* sixteen_bytes);

  bool is_v4() const;
  bool is_loopback() const;       // 127.0.0.0/8 or ::1
  bool is_any() const;            // 0.0.0.0 or ::
  std::string to_string() const;  // RFC 5952; IPv4 dotted
  const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  auto operator<=>(const IpAddress&) const = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

enum class Family : std::uint8_t { none, v4, v6, unix_path };

class Address {
 public:
  Address() = default;
  Address(IpAddress ip, std::uint16_t port);
  static Address unix_socket(std::string path);
  // "127.0.0.1:80", "[::1]:80", "unix:/run/x.sock". Code::malformed otherwise; names are not resolved.
  static Result<Address> parse(std::string_view text);
  static Address from_sockaddr(const sockaddr* address, socklen_t length);

  Family family() const { return family_; }
  bool is_unix() const { return family_ == Family::unix_path; }
  bool is_loopback() const;                          // a unix socket is
  const IpAddress& ip() const { return ip_; }        // :: for unix sockets
  std::uint16_t port() const { return port_; }       // 0 for unix sockets
  const std::string& path() const { return path_; }  // empty for IP
  std::string to_string() const;                     // what parse() reads
  bool operator==(const Address&) const = default;

  // Fills `storage`; returns the length, 0 when there is none (no family, or a path that is too long).
  socklen_t to_sockaddr(sockaddr_storage& storage) const;

 private:
  IpAddress ip_;
  std::uint16_t port_ = 0;
  Family family_ = Family::none;
  std::string path_;
};

}  // namespace vignette::net
