// Reading one record of a MaxMind database. Part of database.cc's implementation.
#pragma once

#include <maxminddb.h>

#include <cstdint>

#include "geo/database.h"

namespace vignette::geo {

// bad: there is something, and it cannot be read or is not what it should be.
enum class Outcome : std::uint8_t { found, absent, bad };

template <class Value>
struct Answer {
  Outcome outcome = Outcome::absent;
  Value value{};
};

Answer<Country> read_country(MMDB_entry_s& record);
// found: at least one of them is.
Answer<Place> read_place(MMDB_entry_s& record);
Answer<std::uint32_t> read_asn(MMDB_entry_s& record);

}  // namespace vignette::geo
