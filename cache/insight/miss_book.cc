#include "cache/insight/miss_book.h"

#include <chrono>

namespace vignette::cache {
namespace {

// time:32 | zero:7 | stale:1 | not on disk:8 | detail:8 | cause:8. The detail is what the cause has one of.
constexpr unsigned kDetailBit = 8;
constexpr unsigned kDiskBit = 16;
constexpr unsigned kStaleBit = 24;
constexpr unsigned kTimeBit = 32;

std::uint8_t detail_of(const Departure& departure) {
  switch (departure.cause) {
    case Departed::not_stored:
      return static_cast<std::uint8_t>(departure.reason);
    case Departed::failed:
      return static_cast<std::uint8_t>(departure.code);
    case Departed::purged:
      return static_cast<std::uint8_t>(departure.purged_by);
    default:
      return 0;
  }
}

std::uint64_t pack(const Departure& departure) {
  const auto seconds = static_cast<std::uint32_t>(departure.at.time_since_epoch().count());
  return static_cast<std::uint64_t>(departure.cause) | std::uint64_t{detail_of(departure)} << kDetailBit |
         static_cast<std::uint64_t>(departure.not_on_disk) << kDiskBit |
         std::uint64_t{departure.was_stale} << kStaleBit | std::uint64_t{seconds} << kTimeBit;
}

Departure unpack(std::uint64_t facts) {
  Departure departure;
  const auto detail = static_cast<std::uint8_t>(facts >> kDetailBit);
  departure.cause = static_cast<Departed>(static_cast<std::uint8_t>(facts));
  departure.was_stale = (facts >> kStaleBit & 1) != 0;
  departure.not_on_disk = static_cast<DiskRefusal>(static_cast<std::uint8_t>(facts >> kDiskBit));
  if (departure.cause == Departed::not_stored) departure.reason = static_cast<Reason>(detail);
  if (departure.cause == Departed::failed) departure.code = static_cast<Code>(detail);
  if (departure.cause == Departed::purged) departure.purged_by = static_cast<PurgedBy>(detail);
  departure.at = WallTime(std::chrono::seconds(facts >> kTimeBit));
  return departure;
}

}  // namespace

std::string_view to_string(Departed cause) {
  switch (cause) {
    case Departed::unknown:
      return "unknown";
    case Departed::evicted:
      return "evicted";
    case Departed::reclaimed:
      return "reclaimed";
    case Departed::expired:
      return "expired";
    case Departed::replaced:
      return "replaced";
    case Departed::purged:
      return "purged";
    case Departed::dropped:
      return "dropped";
    case Departed::not_stored:
      return "not-stored";
    case Departed::failed:
      return "failed";
  }
  return "unknown";
}

MissBook::MissBook(const Clock& clock)
    : clock_(clock), places_(std::make_unique<std::array<Place, kPlaces>>()) {}

void MissBook::note(const Key& key, Departure departure) {
  if (departure.at == WallTime()) departure.at = clock_.wall();
  const std::uint64_t facts = pack(departure);
  Place& place = place_of(key);
  place.check.store(facts ^ key.lo, std::memory_order_relaxed);
  place.facts.store(facts, std::memory_order_relaxed);
}

Departure MissBook::last(const Key& key) const {
  const Place& place = place_of(key);
  const std::uint64_t facts = place.facts.load(std::memory_order_relaxed);
  const bool is_its = (place.check.load(std::memory_order_relaxed) ^ facts) == key.lo;
  return is_its && facts != 0 ? unpack(facts) : Departure();
}

bool MissBook::may_have_forgotten(const Key& key) const {
  const Place& place = place_of(key);
  const std::uint64_t facts = place.facts.load(std::memory_order_relaxed);
  return facts != 0 && (place.check.load(std::memory_order_relaxed) ^ facts) != key.lo;
}

}  // namespace vignette::cache
