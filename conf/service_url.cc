#include "conf/service_url.h"

#include <fmt/core.h>

#include <algorithm>

namespace vignette::conf {
namespace {

constexpr std::uint16_t kHttpPort = 80;
constexpr std::uint16_t kHttpsPort = 443;

bool is_target(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f && c != '#'; });
}

std::string host_field(const Address& address, std::uint16_t own_port) {
  const bool v6 = address.host.find(':') != std::string::npos;
  std::string host = v6 ? fmt::format("[{}]", address.host) : address.host;
  if (address.port != own_port) host += fmt::format(":{}", address.port);
  return host;
}

}  // namespace

std::optional<ServiceUrl> parse_service_url(std::string_view url) {
  ServiceUrl out;
  out.tls = url.starts_with("https://");
  if (!out.tls && !url.starts_with("http://")) return std::nullopt;
  url.remove_prefix(out.tls ? 8 : 7);
  const std::size_t end = std::min(url.find_first_of("/?#"), url.size());
  const std::string_view authority = url.substr(0, end);
  out.target = url.substr(end);
  if (!out.target.starts_with('/')) out.target.insert(0, "/");
  if (authority.starts_with("unix:") || !is_target(out.target)) return std::nullopt;
  const std::uint16_t own_port = out.tls ? kHttpsPort : kHttpPort;
  auto address = parse_address(authority);
  if (!address) address = parse_address(fmt::format("{}:{}", authority, own_port));
  if (!address || address->kind != Address::Kind::tcp || address->port == 0) return std::nullopt;
  out.host = host_field(*address, own_port);
  out.address = std::move(*address);
  return out;
}

}  // namespace vignette::conf
