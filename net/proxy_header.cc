#include "net/proxy_header.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/check.h"
#include "base/crc32c.h"
#include "net/socket.h"

namespace vignette::net {
namespace {

using State = ProxyParsed::State;

constexpr std::string_view kLineStart = "PROXY ";
constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kFixedBytes = 16;  // of version 2: signature, command, family, length
constexpr std::size_t kUnixBytes = 216;
constexpr unsigned char kLocalCommand = 0x20;  // version and command
constexpr unsigned char kProxyCommand = 0x21;
constexpr unsigned char kTcp4 = 0x11;  // family and protocol
constexpr unsigned char kTcp6 = 0x21;
constexpr unsigned char kUnixFamily = 0x31;
constexpr unsigned char kTypeCrc32c = 0x03;

ProxyParsed proxy_refused(ProxyFault fault) { return {State::refused, 0, fault}; }

// Whether one is the beginning of the other.
bool begins_alike(std::string_view bytes, std::string_view start) {
  return bytes.starts_with(start.substr(0, bytes.size()));
}

// --- version 1 ---

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool whole = !text.empty() && error == std::errc() && end == text.data() + text.size();
  if (!whole || (text.front() == '0' && text.size() > 1)) return std::nullopt;
  return port;
}

std::optional<Address> parse_end(std::string_view ip, std::string_view port, bool v6) {
  if ((ip.find(':') != ip.npos) != v6) return std::nullopt;
  const auto address = IpAddress::parse(ip);
  const auto number = parse_port(port);
  if (!address || !number) return std::nullopt;
  return Address(*address, *number);
}

// What stands between "PROXY " and the line's end.
bool parse_line(std::string_view rest, ProxyHeader& header) {
  if (rest == "UNKNOWN") return true;
  if (rest.starts_with("UNKNOWN ")) {
    for (const char c : rest) {
      if (c < ' ' || c > '~') return false;
    }
    return true;
  }
  std::array<std::string_view, 5> words;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::size_t space = rest.find(' ');
    if ((space == rest.npos) != (i + 1 == words.size())) return false;
    words[i] = rest.substr(0, space);
    if (space != rest.npos) rest.remove_prefix(space + 1);
  }
  const bool v6 = words[0] == "TCP6";
  if (!v6 && words[0] != "TCP4") return false;
  const auto client = parse_end(words[1], words[3], v6);
  const auto local = parse_end(words[2], words[4], v6);
  if (!client || !local) return false;
  header = {*client, *local};
  return true;
}

ProxyParsed parse_v1(std::string_view bytes, ProxyHeader& header) {
  const std::string_view line = bytes.substr(0, kProxyLineBytes);
  const std::size_t end = line.find_first_of("\r\n");
  if (end == line.npos || end + 1 == line.size()) {
    if (line.size() == kProxyLineBytes) return proxy_refused(ProxyFault::too_long);
    if (end == line.npos || line[end] == '\r') return {};
  }
  if (line[end] != '\r' || line[end + 1] != '\n') return proxy_refused(ProxyFault::malformed);
  if (!parse_line(line.substr(kLineStart.size(), end - kLineStart.size()), header)) {
    return proxy_refused(ProxyFault::malformed);
  }
  return {State::done, end + 2, ProxyFault::none};
}

// --- version 2 ---

unsigned char byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}
std::uint16_t number_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

// Of the addresses that the family has; nullopt: not one of streams.
std::optional<std::size_t> address_bytes(unsigned char family) {
  switch (family) {
    case kTcp4:
      return 12;
    case kTcp6:
      return 36;
    case kUnixFamily:
      return kUnixBytes;
    default:
      break;
  }
  if (family >> 4 == 0) return 0;  // UNSPEC
  return std::nullopt;
}

// Over the whole header, with its own four bytes as zeros.
bool checksum_fits(std::string_view whole, std::size_t at) {
  std::uint32_t told = 0;
  for (std::size_t i = 0; i < 4; ++i) told = told << 8 | byte_at(whole, at + i);
  std::uint32_t sum = crc32c(whole.substr(0, at));
  sum = crc32c(std::string_view("\0\0\0\0", 4), sum);
  return crc32c(whole.substr(at + 4), sum) == told;
}

bool tlvs_are_sound(std::string_view whole, std::size_t at) {
  while (at < whole.size()) {
    if (whole.size() - at < 3) return false;
    const std::size_t length = number_at(whole, at + 1);
    if (whole.size() - at - 3 < length) return false;
    if (byte_at(whole, at) == kTypeCrc32c && (length != 4 || !checksum_fits(whole, at + 3))) return false;
    at += 3 + length;
  }
  return true;
}

ProxyHeader ends_of(unsigned char family, std::string_view block) {
  const auto end = [&](std::size_t ip, std::size_t port) {
    const char* raw = block.data() + ip;
    return Address(family == kTcp4 ? IpAddress::from_v4(raw) : IpAddress::from_v6(raw),
                   number_at(block, port));
  };
  if (family == kTcp4) return {end(0, 8), end(4, 10)};
  if (family == kTcp6) return {end(0, 32), end(16, 34)};
  return {};
}

ProxyParsed parse_v2(std::string_view bytes, ProxyHeader& header) {
  if (bytes.size() > 12 && byte_at(bytes, 12) != kLocalCommand && byte_at(bytes, 12) != kProxyCommand) {
    return proxy_refused(ProxyFault::unsupported);
  }
  if (bytes.size() < kFixedBytes) return {};
  const std::size_t size = kFixedBytes + number_at(bytes, 14);
  if (size > kProxyHeaderBytes) return proxy_refused(ProxyFault::too_long);
  const bool is_local = byte_at(bytes, 12) == kLocalCommand;
  const unsigned char family = byte_at(bytes, 13);
  const auto addresses = address_bytes(family);
  if (!is_local) {
    if (!addresses) return proxy_refused(ProxyFault::unsupported);
    if (size < kFixedBytes + *addresses) return proxy_refused(ProxyFault::malformed);
  }
  if (bytes.size() < size) return {};
  const std::string_view whole = bytes.substr(0, size);
  // What LOCAL has behind it is to be discarded unread, and UNSPEC's addresses have no length that is known.
  if (!is_local && family >> 4 != 0) {
    if (!tlvs_are_sound(whole, kFixedBytes + *addresses)) return proxy_refused(ProxyFault::malformed);
    header = ends_of(family, whole.substr(kFixedBytes));
  }
  return {State::done, size, ProxyFault::none};
}

// --- writing ---

struct Ends {
  bool v6;
  const Address& client;
  const Address& local;
};

std::string ip_text(const IpAddress& ip, bool v6) {
  if (!v6) return ip.to_string();
  char text[INET6_ADDRSTRLEN];
  ::inet_ntop(AF_INET6, ip.bytes().data(), text, sizeof text);
  return text;
}

std::size_t write_v1(const Ends& ends, std::span<char, kProxyLineBytes> into) {
  std::string line(kLineStart);
  line.append(ends.v6 ? "TCP6 " : "TCP4 ");
  line.append(ip_text(ends.client.ip(), ends.v6)).append(" ");
  line.append(ip_text(ends.local.ip(), ends.v6)).append(" ");
  line.append(std::to_string(ends.client.port())).append(" ");
  line.append(std::to_string(ends.local.port())).append("\r\n");
  VCHECK(line.size() <= into.size());
  return line.copy(into.data(), line.size());
}

std::size_t write_v2(const Ends& ends, std::span<char, kProxyLineBytes> into) {
  char* at = into.data() + kSignature.copy(into.data(), kSignature.size());
  const auto put_number = [&at](std::size_t number) {
    *at++ = static_cast<char>(number >> 8);
    *at++ = static_cast<char>(number & 0xff);
  };
  *at++ = static_cast<char>(kProxyCommand);
  *at++ = static_cast<char>(ends.v6 ? kTcp6 : kTcp4);
  put_number(ends.v6 ? 36 : 12);
  const std::size_t skipped = ends.v6 ? 0 : 12;  // of the mapped form
  for (const Address* end : {&ends.client, &ends.local}) {
    std::memcpy(at, end->ip().bytes().data() + skipped, 16 - skipped);
    at += 16 - skipped;
  }
  put_number(ends.client.port());
  put_number(ends.local.port());
  return static_cast<std::size_t>(at - into.data());
}

// --- reading ---

// What has come is looked at and left in the kernel until all of the header is there: what stands behind it
// is the client's, and TLS may want it.
ProxyParsed peek_header(Socket& socket, ProxyHeader& header, int& sys_errno, bool& ended) {
  std::array<char, kProxyHeaderBytes> bytes;
  ssize_t count;
  do {
    count = ::recv(socket.descriptor.get(), bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && errno != EAGAIN) sys_errno = errno;
  ended = count == 0 || socket.peer_closed;
  if (count <= 0) return {};
  const ProxyParsed parsed = parse_proxy_header({bytes.data(), static_cast<std::size_t>(count)}, header);
  std::size_t got = 0;
  if (parsed.state == State::done) socket.receive({bytes.data(), parsed.consumed}, got, sys_errno);
  return parsed;
}

}  // namespace

std::string_view to_string(ProxyFault fault) {
  switch (fault) {
    case ProxyFault::none:
      return "";
    case ProxyFault::missing:
      return "proxy_missing";
    case ProxyFault::malformed:
      return "proxy_malformed";
    case ProxyFault::unsupported:
      return "proxy_unsupported";
    case ProxyFault::too_long:
      return "proxy_too_long";
  }
  return "";
}

ProxyParsed parse_proxy_header(std::string_view bytes, ProxyHeader& header) {
  header = {};
  if (bytes.starts_with(kSignature)) return parse_v2(bytes, header);
  if (bytes.starts_with(kLineStart)) return parse_v1(bytes, header);
  if (begins_alike(bytes, kSignature) || begins_alike(bytes, kLineStart)) return {};
  return proxy_refused(ProxyFault::missing);
}

std::size_t write_proxy_header(ProxyVersion version, const ProxyHeader& header,
                               std::span<char, kProxyLineBytes> into) {
  const bool is_v1 = version == ProxyVersion::v1;
  if (!header.is_relayed()) {
    constexpr std::string_view kUnknownLine = "PROXY UNKNOWN\r\n";
    if (is_v1) return kUnknownLine.copy(into.data(), kUnknownLine.size());
    const std::size_t size = kSignature.copy(into.data(), kSignature.size());
    constexpr std::array<char, 4> kLocalEnd{kLocalCommand, 0, 0, 0};
    std::memcpy(into.data() + size, kLocalEnd.data(), kLocalEnd.size());
    return size + kLocalEnd.size();
  }
  const bool v6 = !header.client.ip().is_v4() || !header.local.ip().is_v4();
  const Ends ends{v6, header.client, header.local};
  return is_v1 ? write_v1(ends, into) : write_v2(ends, into);
}

Task<Result<ProxyHeader>> read_proxy_header(Stream& stream, TimePoint deadline) {
  Socket& socket = StreamAccess::socket(stream);
  for (bool first = true;; first = false) {
    // Each arrival is an edge, whatever still lies there.
    if (!first) socket.readable = Level::no;
    auto ready = co_await WaitOp(&socket, StreamOp::Kind::wait_raw_readable, deadline);
    if (!ready) co_return std::unexpected(ready.error());
    ProxyHeader header;
    int sys_errno = 0;
    bool ended = false;
    const ProxyParsed parsed = peek_header(socket, header, sys_errno, ended);
    if (sys_errno != 0) co_return std::unexpected(socket.error_of(sys_errno, "recv"));
    if (parsed.state == State::done) co_return header;
    if (parsed.state == State::refused) {
      co_return fail(Code::malformed, socket.blame, to_string(parsed.fault).data());
    }
    if (ended) co_return fail(Code::closed, socket.blame, "PROXY header");
  }
}

}  // namespace vignette::net
