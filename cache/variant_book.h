// Which variants lie below the Vary marker of a URL, so that no URL keeps more than kMaxVariants: a header
// that clients make up would fill the tiers with copies of one page. Past that the least used one goes.
//
// Uses are counted in the objects (Object::note_use()) and halved whenever one of them has to go, so that
// what was asked for long ago does not stay for ever. A variant that is no longer in memory goes first.
//
// A restart forgets the book, and of URLs beyond its own limit it forgets those noted longest ago: their
// variants leave as other objects do.
//
// Thread-safe. Its locks come before those of the store.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/object.h"
#include "cache/store.h"

namespace vignette::cache {

inline constexpr std::size_t kMaxVariants = 64;             // of one URL
inline constexpr std::size_t kMaxVariantBytes = 16 * 1024;  // of their selecting values, of one URL
inline constexpr std::size_t kMaxVariedUrlsPerShard = 128;  // of 16 shards
// Of a shard's URLs and values together, with what keeping each costs: 4 MiB in all.
inline constexpr std::size_t kMaxVariantShardBytes = 256 * 1024;

class VariantBook {
 public:
  // The store must outlive it.
  explicit VariantBook(Store& store) : store_(store) {}
  VariantBook(const VariantBook&) = delete;
  VariantBook& operator=(const VariantBook&) = delete;

  // `variant` is in the store, under the key that its values extend. Others of its URL may be erased there.
  void note(const Object& variant);

  // Of the variants noted for a URL, by its key string without values: what selects each. For reports.
  std::vector<std::string> values_of(std::string_view primary) const;

  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kShards = 16;
  struct Url {
    std::string primary;  // the key string without the values
    std::vector<std::string> values;
    std::size_t bytes = 0;  // of the values
    std::size_t footprint() const;
  };
  using Urls = std::list<Url>;  // noted last first
  struct Shard {
    mutable std::mutex mutex;
    Urls urls;
    std::size_t bytes = 0;                                            // footprints of all
    std::unordered_map<std::string_view, Urls::iterator> by_primary;  // views into `urls`
  };

  static Url& find_or_add(Shard& shard, std::string_view primary);
  static void forget_oldest(Shard& shard);
  void drop_least_used(Url& url, std::string_view kept);

  Store& store_;
  std::atomic<std::uint64_t> dropped_{0};
  std::array<Shard, kShards> shards_;
};

}  // namespace vignette::cache
