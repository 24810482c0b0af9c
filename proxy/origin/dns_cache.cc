#include "proxy/origin/dns_cache.h"

#include <algorithm>
#include <optional>

#include "net/signal.h"
#include "net/worker.h"

namespace vignette::proxy {

struct DnsCache::Entry {
  std::string name;
  std::vector<net::IpAddress> addresses;  // empty: never resolved
  std::optional<Error> error;             // of the last lookup
  TimePoint expires{};
  std::size_t turn = 0;
  bool refreshing = false;
  net::Signal refreshed;
};

// What lookups under way hold, so that they may outlive the cache.
struct DnsCache::Shared {
  explicit Shared(net::Worker& owner) : worker(owner), resolver(owner) {}
  net::Worker& worker;
  net::Resolver resolver;
  std::unordered_map<std::string, std::unique_ptr<Entry>> entries;  // one per configured name, never erased
};

DnsCache::DnsCache(net::Worker& worker) : shared_(std::make_shared<Shared>(worker)) {}
DnsCache::~DnsCache() = default;

net::Task<void> DnsCache::refresh(std::shared_ptr<Shared> shared, Entry* entry) {
  TimePoint deadline = shared->worker.now() + kLookup;
  auto answer = co_await shared->resolver.resolve(entry->name, net::AddressFamily::any, deadline);
  TimePoint now = shared->worker.now();
  entry->refreshing = false;
  if (answer) {
    entry->addresses = std::move(answer->addresses);
    entry->error.reset();
    entry->expires = now + std::clamp<Duration>(answer->ttl, kShortest, kLongest);
  } else {
    entry->error = answer.error();
    entry->error->blame = Blame::origin;
    entry->expires = now + (entry->addresses.empty() ? kAfterError : kShortest);
  }
  entry->refreshed.notify_all();
}

net::Task<Result<std::vector<net::IpAddress>>> DnsCache::addresses(std::string_view name,
                                                                   TimePoint deadline) {
  std::shared_ptr<Shared> shared = shared_;
  auto& slot = shared->entries[std::string(name)];
  if (!slot) {
    slot = std::make_unique<Entry>();
    slot->name = name;
  }
  Entry* entry = slot.get();
  bool expired = shared->worker.now() >= entry->expires;
  if (expired && !entry->refreshing) {
    entry->refreshing = true;
    shared->worker.spawn_named("dns", refresh, shared, entry);
  }
  while (entry->addresses.empty() && entry->refreshing) {
    auto woken = co_await entry->refreshed.wait(deadline);
    if (woken) continue;
    Error error = woken.error();
    if (error.code == Code::timeout) error = {Code::timeout, Blame::origin, Retry::yes, 0, "dns"};
    co_return std::unexpected(error);
  }
  if (entry->addresses.empty()) co_return std::unexpected(*entry->error);
  std::vector<net::IpAddress> addresses = entry->addresses;
  std::ranges::rotate(addresses,
                      addresses.begin() + static_cast<std::ptrdiff_t>(entry->turn++ % addresses.size()));
  co_return addresses;
}

}  // namespace vignette::proxy
