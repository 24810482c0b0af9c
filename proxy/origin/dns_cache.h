// Names of origin servers, resolved when first asked for and then refreshed behind the scenes: an answer is
// kept for its time to live (5 to 300 s), a failed refresh keeps the last good addresses. Loop-thread only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "net/address.h"
#include "net/resolver.h"
#include "net/task.h"

namespace vignette::proxy {

class DnsCache {
 public:
  static constexpr Duration kShortest = std::chrono::seconds(5);
  static constexpr Duration kLongest = std::chrono::seconds(300);
  static constexpr Duration kLookup = std::chrono::seconds(5);      // bounds one lookup
  static constexpr Duration kAfterError = std::chrono::seconds(1);  // errors are remembered this long

  explicit DnsCache(net::Worker& worker);
  ~DnsCache();

  // At least one address, each call beginning with the next one. Waits only when the name was never
  // resolved. Errors: as Resolver::resolve.
  net::Task<Result<std::vector<net::IpAddress>>> addresses(std::string_view name, TimePoint deadline);

 private:
  struct Entry;
  struct Shared;
  static net::Task<void> refresh(std::shared_ptr<Shared> shared, Entry* entry);

  std::shared_ptr<Shared> shared_;
};

}  // namespace vignette::proxy
