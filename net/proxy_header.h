// The PROXY protocol (HAProxy's proxy-protocol.txt, 2020/03/05), versions 1 and 2: what a hop in front says,
// before the first byte of its client, about whose connection it passes on. Parser and writer are pure
// functions; read_proxy_header() takes a header off a stream, and not a byte more.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"
#include "net/address.h"
#include "net/stream.h"
#include "net/task.h"

namespace vignette::net {

// Both of no family: the connection speaks for itself (LOCAL, UNKNOWN, UNSPEC, and clients of unix sockets).
struct ProxyHeader {
  Address client;
  Address local;  // what the client connected to

  bool is_relayed() const { return client.family() != Family::none; }
};

enum class ProxyFault : std::uint8_t {
  none,
  missing,      // the bytes begin no header
  malformed,    // against the grammar, checksum and lengths included
  unsupported,  // another version or command, or datagrams
  too_long,
};
std::string_view to_string(ProxyFault fault);  // "proxy_missing"; static

struct ProxyParsed {
  enum class State : std::uint8_t { need_more, done, refused };
  State state = State::need_more;
  std::size_t consumed = 0;  // when done: the length of the header
  ProxyFault fault = ProxyFault::none;
};

inline constexpr std::size_t kProxyLineBytes = 107;     // of version 1, CRLF included
inline constexpr std::size_t kProxyHeaderBytes = 4096;  // of version 2, with its TLVs

// `bytes` is what has come so far, from the first byte on; refused as early as the bytes allow. Version 1 is
// read strictly: single spaces, no leading zeros, the family that it names, CRLF. TLVs are checked for their
// lengths and skipped; a CRC32C among them must be right.
ProxyParsed parse_proxy_header(std::string_view bytes, ProxyHeader& header);

enum class ProxyVersion : std::uint8_t { v1 = 1, v2 = 2 };

// The header for a connection to an origin; its length. One that is not relayed becomes UNKNOWN or LOCAL.
// Addresses of different families are both written as IPv6.
std::size_t write_proxy_header(ProxyVersion version, const ProxyHeader& header,
                               std::span<char, kProxyLineBytes> into);

// Before TLS and before anything was read of the stream. Errors: malformed (`where` is the fault's name),
// timeout, closed (the peer ended before it said anything), else Stream's. Loop-thread only.
Task<Result<ProxyHeader>> read_proxy_header(Stream& stream, TimePoint deadline);

}  // namespace vignette::net
