// How much of the node one client may have, and all of them together. Shared by all workers. Thread-safe.
//
// A client is an IPv4 address or an IPv6 network of 64 bits, which is what one customer of a provider gets.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/clock.h"
#include "base/hash.h"
#include "conf/config.h"

namespace vignette::proxy {

// The client that an address belongs to.
std::uint64_t client_of(const conf::IpBytes& address);

// A number of things that exist at once. The rule: who wants one more adds first and asks afterwards, and
// takes away again what was too much. So there are never more than `most`, whatever workers do at the same
// moment; of two that race for the last place both may be refused.
class Ceiling {
 public:
  // `most` 0: no limit, and counted all the same. True: leave() must follow.
  bool enter(std::uint64_t most) {
    if (count_.fetch_add(1, std::memory_order_relaxed) < most || most == 0) return true;
    leave();
    return false;
  }
  void leave() { count_.fetch_sub(1, std::memory_order_relaxed); }
  std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }

 private:
  alignas(64) std::atomic<std::uint64_t> count_{0};
};

// The same by client. Holds an entry for each client that has something, and for nobody else, so it is never
// larger than what it counts. One short lock of a shard a call.
class ClientCeiling {
 public:
  bool enter(std::uint64_t client, std::uint64_t most);  // `most` at least 1
  void leave(std::uint64_t client);
  std::size_t clients() const;  // that have an entry

 private:
  static constexpr std::size_t kShards = 64;
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<std::uint64_t, std::uint64_t, SpreadHash> counts;
  };
  Shard& shard(std::uint64_t client);

  std::array<Shard, kShards> shards_;
};

// One place under a ceiling, for as long as it lives; false: there was none.
class Place {
 public:
  Place(Ceiling& ceiling, std::uint64_t most) : ceiling_(ceiling.enter(most) ? &ceiling : nullptr) {}
  ~Place() {
    if (ceiling_) ceiling_->leave();
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  explicit operator bool() const { return ceiling_ != nullptr; }

 private:
  Ceiling* ceiling_;
};

class ClientPlace {
 public:
  ClientPlace(ClientCeiling& ceiling, std::uint64_t client, std::uint64_t most)
      : ceiling_(ceiling.enter(client, most) ? &ceiling : nullptr), client_(client) {}
  ~ClientPlace() {
    if (ceiling_) ceiling_->leave(client_);
  }
  ClientPlace(const ClientPlace&) = delete;
  ClientPlace& operator=(const ClientPlace&) = delete;
  explicit operator bool() const { return ceiling_ != nullptr; }

 private:
  ClientCeiling* ceiling_;
  std::uint64_t client_;
};

// Token buckets by client and scope, in a table of fixed size. A bucket is kept as the time at which it will
// be full again (the generic cell rate algorithm, ITU-T I.371 annex A), so a full one is as good as none and
// is forgotten without loss. When more clients are busy at once than there is room for, those nearest to full
// are forgotten first: such a client may then have its burst once more.
class RateTable {
 public:
  static constexpr std::size_t kEntries = 64 * 1024;  // 1 MiB
  static constexpr std::size_t kWays = 8;             // places an entry may be in

  RateTable();

  // Takes one request from the bucket. nullopt: there was one; otherwise how long until there is.
  std::optional<Duration> take(std::uint64_t client, std::uint64_t scope, const conf::RateLimit& limit,
                               TimePoint now);

 private:
  static constexpr std::size_t kLocks = 64;
  struct Entry {
    std::uint64_t key = 0;
    std::int64_t full_at = 0;  // ns of the clock
  };
  Entry& find(std::uint64_t key);

  HashSecret secret_ = process_secret();
  std::array<std::mutex, kLocks> locks_;  // of the sets with that remainder
  std::unique_ptr<Entry[]> entries_;
};

struct ClientLimits {
  Ceiling connections;
  Ceiling handshakes;  // of TLS, under way
  ClientCeiling connections_of;
  RateTable rates;
};

}  // namespace vignette::proxy
