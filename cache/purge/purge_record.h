// One purge as the journal keeps it, and its bytes. Numbers are little-endian.
//
//   record  = length u32 | length-check u32 | payload-check u64 | payload of `length` bytes
//   payload = epoch u64 | at i64 (seconds) | identity u64 | kind u8 | mode u8 | zero u16 | zero u32 | name
//   checks  = XXH3 of what they guard, the first cut to 32 bits
//
// The length has a check of its own, so that a damaged length is never taken for a record cut short. A record
// of mode `erased` is no purge: its kind is everything, and it has no name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace vignette::cache {

enum class PurgeKind : std::uint8_t { everything, url, tag, prefix };

enum class PurgeMode : std::uint8_t {
  hard,    // gone
  soft,    // stale from now on: served only as far as stale rules let it
  erase,   // gone, and its bytes on disks are to be overwritten
  erased,  // in the journal alone: what was to be overwritten up to this epoch has been
};

struct PurgeRecord {
  std::uint64_t epoch = 0;  // objects with a smaller sequence are meant
  WallTime at{};
  PurgeKind kind = PurgeKind::everything;
  PurgeMode mode = PurgeMode::hard;
  std::uint64_t identity = 0;  // url, tag: the name's; prefix: the origin tag's, 0 for any origin
  std::string name;            // prefix only
};

inline constexpr std::size_t kPurgeRecordHead = 16;
inline constexpr std::size_t kPurgePayloadHead = 32;

void append_record(const PurgeRecord& record, std::string& out);

// What lies at the start of `bytes`, which end where the file ends.
struct ReadRecord {
  enum class State : std::uint8_t {
    good,
    end,      // nothing left
    torn,     // a record whose write did not finish: nothing was promised about it
    damaged,  // it was whole once
  };
  State state = State::end;
  std::size_t size = 0;  // good: of the record
  PurgeRecord record;
};
ReadRecord read_record(std::string_view bytes, std::size_t max_name);

// Little-endian numbers.
template <typename T>
void append_number(T value, std::string& out) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xFF);
  }
}
template <typename T>
T read_number(std::string_view bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  }
  return static_cast<T>(value);
}

}  // namespace vignette::cache
