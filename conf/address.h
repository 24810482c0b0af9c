// Addresses as a configuration names them: where to listen or connect, and networks of clients.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vignette::conf {

// 16 bytes, network order; IPv4 is mapped (::ffff:a.b.c.d).
using IpBytes = std::array<std::uint8_t, 16>;

// An IPv4 or IPv6 literal without brackets or port; nullopt for anything else.
std::optional<IpBytes> parse_ip(std::string_view text);

struct Address {
  enum class Kind : std::uint8_t { tcp, unix_socket };
  Kind kind = Kind::tcp;
  std::string host;        // tcp: an IP literal without brackets, or a DNS name in lower case
  bool is_ip = false;      // tcp: `host` is a literal
  std::uint16_t port = 0;  // tcp; 0 = chosen by the kernel, accepted only where we listen
  std::string path;        // unix_socket

  // "10.0.0.1:80", "[::1]:80", "app.internal:80", "unix:/run/app.sock"; parse() reads it back.
  std::string to_string() const;
  bool operator==(const Address&) const = default;
};

// nullopt when `text` is none of the four forms above.
std::optional<Address> parse_address(std::string_view text);

// A network, "10.0.0.0/8" or "2001:db8::/32"; without a length it is one address. Immutable after
// construction.
class IpPrefix {
 public:
  // nullopt for a bad literal, a length out of range, or bits set behind the length ("10.0.0.1/8").
  static std::optional<IpPrefix> parse(std::string_view text);

  // IPv4 addresses match only IPv4 networks ("::/0" does not hold 10.0.0.1).
  bool contains(const IpBytes& address) const;
  std::string to_string() const;
  const IpBytes& network() const { return network_; }
  unsigned bits() const { return bits_; }  // 0..128, of the mapped form: IPv4's /8 is 104
  bool operator==(const IpPrefix&) const = default;

 private:
  IpPrefix(const IpBytes& network, unsigned bits, bool v4) : network_(network), bits_(bits), v4_(v4) {}
  IpBytes network_;
  unsigned bits_;
  bool v4_;
};

}  // namespace vignette::conf
