// `vignette warm`: gathers what is to be warmed, from lists, sitemaps and other nodes, and orders it from the
// running node one by one, at a pace. Blocking; a thread for each order under way.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace vignette::proxy {

struct WarmJob {
  std::string list;                 // file of URLs, one a line, or a hot list; "-": standard input
  std::string sitemap;              // file, "-", or a URL that this node answers
  std::string from;                 // file that is a hot list, or the admin address of another node
  std::vector<std::string> fields;  // "Name: value", of the requests for URLs; in place of ours of that name
  double per_second = 100;          // orders begun; 0: no limit
  unsigned concurrency = 4;         // at most WarmDesk::kMaxOpen
};

inline constexpr std::size_t kMaxWarmBytes = std::size_t{64} << 20;  // of a list
inline constexpr std::size_t kMaxSitemaps = 1000;                    // that an index leads to
inline constexpr std::size_t kMaxWarmOrders = 5'000'000;             // of sitemaps

// URLs, or keys as a hot list has them, in order. The error is a sentence for the operator.
std::expected<std::vector<std::string>, std::string> gather_orders(const std::string& admin,
                                                                   const WarmJob& job);
// Those that a list means: URLs (blank lines and `#` lines go), or the keys of a hot list but for those that
// come by themselves (Vary markers, manifests).
std::expected<std::vector<std::string>, std::string> orders_of_list(std::string_view text);
// "http://NODE:9180/" or "NODE:9180" with a name or a number, as an admin address with a number.
std::expected<std::string, std::string> admin_address_of(std::string_view node);

struct WarmCounts {
  std::uint64_t asked = 0;
  std::uint64_t hit = 0;
  std::uint64_t stored = 0;
  std::uint64_t failed = 0;
};
// `on_failure` is told which order and why, `on_progress` the counts after each; one thread at a time.
WarmCounts run_orders(const std::string& admin, const std::vector<std::string>& orders, const WarmJob& job,
                      const std::function<void(std::string_view order, std::string_view why)>& on_failure,
                      const std::function<void(const WarmCounts&)>& on_progress);

}  // namespace vignette::proxy
