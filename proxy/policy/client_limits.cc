#include "proxy/policy/client_limits.h"

#include <algorithm>
#include <span>

namespace vignette::proxy {
namespace {

std::uint64_t number_of(std::span<const std::uint8_t> bytes) {
  std::uint64_t number = 0;
  for (const std::uint8_t byte : bytes) number = number << 8 | byte;
  return number;
}

}  // namespace

std::uint64_t client_of(const conf::IpBytes& address) {
  static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const std::span<const std::uint8_t> bytes(address);
  const bool is_v4 = std::ranges::equal(bytes.first(kMapped.size()), kMapped);
  return number_of(is_v4 ? bytes.last(8) : bytes.first(8));
}

ClientCeiling::Shard& ClientCeiling::shard(std::uint64_t client) {
  return shards_[spread(client, 0, process_secret()) >> 32 & (kShards - 1)];
}

bool ClientCeiling::enter(std::uint64_t client, std::uint64_t most) {
  Shard& place = shard(client);
  std::lock_guard lock(place.mutex);
  std::uint64_t& count = place.counts[client];
  if (count >= most) return false;
  ++count;
  return true;
}

void ClientCeiling::leave(std::uint64_t client) {
  Shard& place = shard(client);
  std::lock_guard lock(place.mutex);
  const auto found = place.counts.find(client);
  if (found != place.counts.end() && --found->second == 0) place.counts.erase(found);
}

std::size_t ClientCeiling::clients() const {
  std::size_t sum = 0;
  for (const Shard& place : shards_) {
    std::lock_guard lock(place.mutex);
    sum += place.counts.size();
  }
  return sum;
}

RateTable::RateTable() : entries_(std::make_unique<Entry[]>(kEntries)) {}

// The key's own entry, or the one of its set that is soonest full, cleared for it.
RateTable::Entry& RateTable::find(std::uint64_t key) {
  constexpr std::size_t kSets = kEntries / kWays;
  const std::span<Entry> set(entries_.get() + key % kSets * kWays, kWays);
  const auto own = std::ranges::find(set, key, &Entry::key);
  if (own != set.end()) return *own;
  Entry& victim = *std::ranges::min_element(set, {}, &Entry::full_at);
  victim = {.key = key, .full_at = 0};
  return victim;
}

std::optional<Duration> RateTable::take(std::uint64_t client, std::uint64_t scope,
                                        const conf::RateLimit& limit, TimePoint now) {
  using std::chrono::nanoseconds;
  const std::uint64_t key = spread(client, scope, secret_);
  const std::int64_t interval = std::max<std::int64_t>(nanoseconds(limit.per).count() / limit.requests, 1);
  const std::int64_t burst = limit.burst > 0 ? limit.burst : limit.requests;
  const std::int64_t time = std::chrono::duration_cast<nanoseconds>(now.time_since_epoch()).count();
  std::lock_guard lock(locks_[key % kLocks]);
  Entry& entry = find(key);
  const std::int64_t full_at = std::max(entry.full_at, time);
  const std::int64_t wait = full_at - time - interval * (burst - 1);
  if (wait > 0) return nanoseconds(wait);
  entry.full_at = full_at + interval;
  return std::nullopt;
}

}  // namespace vignette::proxy
