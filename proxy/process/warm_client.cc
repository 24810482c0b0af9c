#include "proxy/process/warm_client.h"

#include <netdb.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "base/thread.h"
#include "cache/warm/hot_list.h"
#include "http/url.h"
#include "net/address.h"
#include "proxy/process/admin_client.h"
#include "proxy/process/sitemap.h"

namespace vignette::proxy {
namespace {

using Failure = std::unexpected<std::string>;
using Orders = std::vector<std::string>;

constexpr std::chrono::seconds kPatience{150};  // for one answer; the node gives up before
// What browsers send: a photo and a page come in the form that most clients get.
constexpr std::string_view kOwnFields[] = {
    "Accept: text/html,image/webp,*/*;q=0.8",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "User-Agent: vignette-warm/" VIGNETTE_VERSION,
};

bool is_url(std::string_view text) { return http::parse_absolute_url(text).has_value(); }

std::expected<std::string, std::string> read_file(const std::string& path) {
  std::ifstream file;
  if (path != "-") file.open(path, std::ios::binary);
  std::istream& from = path == "-" ? std::cin : file;
  std::string text;
  char piece[64 * 1024];
  while (from && text.size() <= kMaxWarmBytes) {
    from.read(piece, sizeof piece);
    text.append(piece, static_cast<std::size_t>(from.gcount()));
  }
  if (text.size() > kMaxWarmBytes) return Failure(fmt::format("{} is longer than 64 MiB", path));
  if (text.empty() && (from.bad() || (path != "-" && !file.is_open()))) {
    return Failure(fmt::format("{} cannot be read", path));
  }
  return text;
}

std::string_view name_of(std::string_view field) { return field.substr(0, field.find(':')); }

// The lines behind a URL in its order.
std::string fields_of(const WarmJob& job) {
  std::string lines;
  for (const std::string_view own : kOwnFields) {
    const bool is_given = std::ranges::any_of(
        job.fields, [own](const std::string& given) { return iequals(name_of(given), name_of(own)); });
    if (!is_given) lines.append(own).append("\n");
  }
  for (const std::string& given : job.fields) lines.append(given).append("\n");
  return lines;
}

Orders orders_of_urls(std::string_view text) {
  Orders orders;
  for (std::string_view line : split(text, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = trim(line);
    if (!line.empty() && !line.starts_with('#')) orders.emplace_back(line);
  }
  return orders;
}

std::expected<Orders, std::string> orders_of_hot_list(std::string_view text) {
  auto entries = cache::read_hot_list(text);
  if (!entries) return Failure(entries.error());
  Orders orders;
  for (const cache::HotEntry& entry : *entries) {
    if (entry.kind == cache::HotKind::response) orders.push_back(cache::escape_key(entry.key_string));
  }
  return orders;
}

// Follows an index to its sitemaps, each once.
class SitemapWalk {
 public:
  explicit SitemapWalk(const std::string& admin) : admin_(admin) {}

  std::expected<Orders, std::string> walk(const std::string& first) {
    seen_.insert(first);
    waiting_.push_back(first);
    for (std::size_t i = 0; i < waiting_.size(); ++i) {
      auto taken = take(std::string(waiting_[i]));
      if (!taken) return Failure(fmt::format("{}: {}", waiting_[i], taken.error()));
    }
    return std::move(orders_);
  }

 private:
  std::expected<void, std::string> take(const std::string& place) {
    auto bytes = is_url(place) ? admin_post(admin_, "/v1/document", place, kPatience) : read_file(place);
    if (!bytes) return Failure(bytes.error());
    auto sitemap = read_sitemap(*bytes);
    if (!sitemap) return Failure(sitemap.error());
    std::ranges::move(sitemap->pages, std::back_inserter(orders_));
    for (std::string& further : sitemap->sitemaps) {
      if (is_url(further) && seen_.insert(further).second) waiting_.push_back(std::move(further));
    }
    if (waiting_.size() > kMaxSitemaps) return Failure("it leads to more than 1000 sitemaps");
    if (orders_.size() > kMaxWarmOrders) return Failure("it leads to more than 5000000 URLs");
    return {};
  }

  const std::string& admin_;
  std::set<std::string> seen_;
  std::vector<std::string> waiting_;
  Orders orders_;
};

std::expected<Orders, std::string> orders_from(const std::string& from) {
  if (!is_url(from) && from.find(':') == from.npos) {
    auto text = read_file(from);
    if (!text) return Failure(text.error());
    if (!cache::is_hot_list(*text)) return Failure(fmt::format("{} is no hot list", from));
    return orders_of_list(*text);
  }
  auto address = admin_address_of(from);
  if (!address) return Failure(address.error());
  auto text = admin_get(*address, "/v1/hot", kPatience);
  if (!text) return Failure(text.error());
  return orders_of_hot_list(*text);
}

std::string word_of(const nlohmann::json& reply, const char* name) {
  const auto found = reply.is_object() ? reply.find(name) : reply.end();
  return found != reply.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Why an order failed; "" when it did not.
std::string count_reply(const std::expected<std::string, std::string>& text, WarmCounts& counts) {
  ++counts.asked;
  const auto reply = text ? nlohmann::json::parse(*text, nullptr, false) : nlohmann::json();
  const std::string outcome = word_of(reply, "outcome");
  if (outcome == "hit") ++counts.hit;
  if (outcome == "stored") ++counts.stored;
  if (outcome == "hit" || outcome == "stored") return {};
  ++counts.failed;
  if (!text) return text.error();
  const std::string why = word_of(reply, "reason");
  return why.empty() ? "the answer is not understood" : why;
}

// Hands out orders, each at its time. Thread-safe.
class Dispenser {
 public:
  Dispenser(const Orders& orders, double per_second)
      : orders_(orders),
        gap_(per_second > 0
                 ? std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1 / per_second))
                 : Clock::duration::zero()),
        next_(Clock::now()) {}

  // Null: there are none left.
  const std::string* take() {
    Clock::time_point begin;
    const std::string* order = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (taken_ == orders_.size()) return nullptr;
      order = &orders_[taken_++];
      begin = next_ = std::max(next_ + gap_, Clock::now());
    }
    std::this_thread::sleep_until(begin);
    return order;
  }

 private:
  using Clock = std::chrono::steady_clock;
  const Orders& orders_;
  const Clock::duration gap_;
  std::mutex mutex_;
  std::size_t taken_ = 0;
  Clock::time_point next_;
};

}  // namespace

std::expected<Orders, std::string> orders_of_list(std::string_view text) {
  return cache::is_hot_list(text) ? orders_of_hot_list(text) : orders_of_urls(text);
}

std::expected<std::string, std::string> admin_address_of(std::string_view node) {
  if (node.starts_with("http://")) node.remove_prefix(7);
  if (node.ends_with('/')) node.remove_suffix(1);
  if (net::Address::parse(node)) return std::string(node);
  const auto authority = http::parse_authority(node);
  if (!authority || authority->port == 0) return Failure(fmt::format("\"{}\" is no admin address", node));
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const std::string host(authority->host);
  if (::getaddrinfo(host.c_str(), std::to_string(authority->port).c_str(), &hints, &list) != 0) {
    return Failure(fmt::format("{} has no address", host));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  return net::Address::from_sockaddr(list->ai_addr, list->ai_addrlen).to_string();
}

std::expected<Orders, std::string> gather_orders(const std::string& admin, const WarmJob& job) {
  if (!job.from.empty()) return orders_from(job.from);
  if (!job.sitemap.empty()) return SitemapWalk(admin).walk(job.sitemap);
  auto text = read_file(job.list);
  if (!text) return Failure(text.error());
  return orders_of_list(*text);
}

WarmCounts run_orders(const std::string& admin, const Orders& orders, const WarmJob& job,
                      const std::function<void(std::string_view, std::string_view)>& on_failure,
                      const std::function<void(const WarmCounts&)>& on_progress) {
  Dispenser dispenser(orders, job.per_second);
  WarmCounts counts;
  std::mutex counting;
  const std::string fields = fields_of(job);
  const auto work = [&] {
    while (const std::string* order = dispenser.take()) {
      const std::string body = is_url(*order) ? *order + "\n" + fields : *order;
      const auto reply = admin_post(admin, "/v1/warm", body, kPatience);
      const std::lock_guard lock(counting);
      const std::string why = count_reply(reply, counts);
      if (!why.empty()) on_failure(*order, why);
      on_progress(counts);
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(job.concurrency);
  for (unsigned i = 0; i < job.concurrency; ++i) threads.push_back(start_thread("warm", work));
  for (std::thread& thread : threads) thread.join();
  return counts;
}

}  // namespace vignette::proxy
