// The keys of the memory tier, those with most hits first: what a node that takes another's place, or starts
// again, should have in memory. It is text, so that a person can read it and carry it from node to node; its
// last line tells whether it is whole.
//
//   hot-list = "vignette hot list 1" LF *entry "end" SP count SP check LF
//   entry    = hits SP bytes SP kind SP key LF
//   kind     = "o" (a response, or a chunk of a large one) | "m" (a large response's manifest) | "v" (a Vary
//              marker)
//   key      = the canonical key string; a backslash in it is `\\` and LF is `\n`
//   check    = XXH3 of all lines before it, 16 digits of hexadecimal
//
// Nothing is believed before the check is right. Hits count since the object came into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/object.h"

namespace vignette::cache {

class TieredStore;

inline constexpr std::size_t kMaxHotEntries = std::size_t{1} << 18;     // colder ones are left out
inline constexpr std::size_t kMaxHotListBytes = std::size_t{64} << 20;  // likewise
inline constexpr std::size_t kMaxHotKeyBytes = 64 * 1024;

enum class HotKind : char { response = 'o', manifest = 'm', vary_marker = 'v' };

struct HotEntry {
  std::uint64_t hits = 0;
  std::uint64_t bytes = 0;  // of memory
  HotKind kind = HotKind::response;
  std::string key_string;

  friend bool operator==(const HotEntry&, const HotEntry&) = default;
};

// The hottest objects of those it is offered; of equally hot ones the smaller, which bring more hits for the
// bytes. One thread at a time. Keeps references, so not for long.
class HotRanking {
 public:
  explicit HotRanking(std::size_t limit) : limit_(limit) {}
  void offer(const ObjectRef& object, std::uint32_t hits);
  // Hottest first. It is empty then.
  std::vector<HotEntry> take();

 private:
  struct Place {
    std::uint32_t hits = 0;
    std::uint64_t bytes = 0;
    ObjectRef object;
  };
  static bool is_hotter(const Place& a, const Place& b);

  const std::size_t limit_;
  std::vector<Place> heap_;  // the coldest on top
};

// Walks over the whole memory tier: not on a loop. Dead objects are left out. Thread-safe.
std::vector<HotEntry> hottest(const TieredStore& store, std::size_t limit);

// At most kMaxHotListBytes: the coldest are left out beyond.
std::string write_hot_list(std::span<const HotEntry> entries);
// Whether the text claims to be a hot list, sound or not.
bool is_hot_list(std::string_view text);
// The error is a sentence: what is wrong with it, or with which line.
std::expected<std::vector<HotEntry>, std::string> read_hot_list(std::string_view text);

// A key string in one line and back; nullopt: that is no line that escape_key() makes.
std::string escape_key(std::string_view key_string);
std::optional<std::string> unescape_key(std::string_view line);

}  // namespace vignette::cache
