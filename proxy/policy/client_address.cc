#include "proxy/policy/client_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/strings.h"

namespace vignette::proxy {
namespace {

// An entry as hops write it: an address, perhaps with a port, IPv6 perhaps in brackets.
std::optional<conf::IpBytes> parse_hop(std::string_view entry) {
  entry = trim(entry);
  if (auto plain = conf::parse_ip(entry)) return plain;
  if (entry.starts_with('[')) {
    std::size_t end = entry.find(']');
    return end == std::string_view::npos ? std::nullopt : conf::parse_ip(entry.substr(1, end - 1));
  }
  return conf::parse_ip(split_once(entry, ':').before);
}

}  // namespace

bool in_networks(const std::vector<conf::IpPrefix>& networks, const conf::IpBytes& address) {
  return std::ranges::any_of(networks, [&](const conf::IpPrefix& net) { return net.contains(address); });
}

conf::IpBytes client_address(const conf::IpBytes& peer, const http::FieldList& fields,
                             const std::vector<conf::IpPrefix>& trusted) {
  conf::IpBytes client = peer;
  if (trusted.empty() || !in_networks(trusted, peer)) return client;
  // Lines of one field are one list, in order; walk it from the end without building it.
  std::span<const http::Field> lines = fields.fields();
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    if (line->id != http::FieldId::x_forwarded_for) continue;
    std::string_view rest = line->value;
    for (;;) {
      std::size_t comma = rest.rfind(',');
      auto hop = parse_hop(comma == std::string_view::npos ? rest : rest.substr(comma + 1));
      if (!hop) return client;
      client = *hop;
      if (!in_networks(trusted, client)) return client;
      if (comma == std::string_view::npos) break;
      rest = rest.substr(0, comma);
    }
  }
  return client;
}

std::string ip_to_string(const conf::IpBytes& address) {
  static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  char text[INET6_ADDRSTRLEN] = "";
  if (std::memcmp(address.data(), kMapped, sizeof kMapped) != 0) {
    inet_ntop(AF_INET6, address.data(), text, sizeof text);
    return text;
  }
  // Once or twice a request: without the printf inside inet_ntop.
  char* at = text;
  for (std::size_t i = sizeof kMapped; i < address.size(); ++i) {
    if (i > sizeof kMapped) *at++ = '.';
    at = std::to_chars(at, text + sizeof text, unsigned{address[i]}).ptr;
  }
  return {text, at};
}

}  // namespace vignette::proxy
