#include "geo/record.h"

#include <cmath>
#include <initializer_list>

namespace vignette::geo {
namespace {

// A path into a record, ended by null as the library wants it.
using Path = std::array<const char*, 5>;

bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }

// The value there when it has one of these types; one of another type counts as not there, since flat
// databases have texts where others have tables.
Answer<MMDB_entry_data_s> read(MMDB_entry_s& record, const Path& path,
                               std::initializer_list<std::uint32_t> types) {
  Answer<MMDB_entry_data_s> answer;
  const int status = MMDB_aget_value(&record, &answer.value, path.data());
  if (status == MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR) return {};
  if (status != MMDB_SUCCESS) return {Outcome::bad, {}};
  if (!answer.value.has_data) return {};
  for (const std::uint32_t type : types) {
    if (answer.value.type == type) answer.outcome = Outcome::found;
  }
  return answer;
}

// Reads a record's values one after the other and remembers how that went.
class Reader {
 public:
  explicit Reader(MMDB_entry_s& record) : record_(record) {}

  // The first of the paths that has one.
  std::string_view text(std::initializer_list<Path> paths) {
    for (const Path& path : paths) {
      const auto data = note(read(record_, path, {MMDB_DATA_TYPE_UTF8_STRING}));
      if (data.outcome != Outcome::found || data.value.data_size == 0) continue;
      if (data.value.data_size <= Database::kMaxTextBytes) {
        return {data.value.utf8_string, data.value.data_size};
      }
    }
    return {};
  }

  // Nothing that is further from 0 than `most`, nor what is no number.
  std::optional<double> number(std::initializer_list<Path> paths, double most) {
    for (const Path& path : paths) {
      const auto data = note(read(record_, path, {MMDB_DATA_TYPE_DOUBLE, MMDB_DATA_TYPE_FLOAT}));
      if (data.outcome != Outcome::found) continue;
      const bool is_double = data.value.type == MMDB_DATA_TYPE_DOUBLE;
      const double value = is_double ? data.value.double_value : static_cast<double>(data.value.float_value);
      return std::abs(value) <= most ? std::optional(value) : std::nullopt;
    }
    return std::nullopt;
  }

  std::uint32_t unsigned_number(const Path& path) {
    const auto data = note(read(record_, path, {MMDB_DATA_TYPE_UINT16, MMDB_DATA_TYPE_UINT32}));
    if (data.outcome != Outcome::found) return 0;
    return data.value.type == MMDB_DATA_TYPE_UINT16 ? data.value.uint16 : data.value.uint32;
  }

  Outcome outcome() const {
    if (is_bad_) return Outcome::bad;
    return has_any_ ? Outcome::found : Outcome::absent;
  }

 private:
  Answer<MMDB_entry_data_s> note(const Answer<MMDB_entry_data_s>& answer) {
    is_bad_ |= answer.outcome == Outcome::bad;
    has_any_ |= answer.outcome == Outcome::found;
    return answer;
  }

  MMDB_entry_s& record_;
  bool is_bad_ = false;
  bool has_any_ = false;
};

// Found only when the value is two capital letters; a value of another shape is bad data.
Answer<Country> read_country_at(MMDB_entry_s& record, const Path& path) {
  const auto data = read(record, path, {MMDB_DATA_TYPE_UTF8_STRING});
  if (data.outcome == Outcome::bad) return {Outcome::bad, kUnknown};
  if (!data.value.has_data) return {Outcome::absent, kUnknown};
  if (data.outcome == Outcome::absent || data.value.data_size != 2) return {Outcome::bad, kUnknown};
  const Country country{data.value.utf8_string[0], data.value.utf8_string[1]};
  if (!is_capital(country[0]) || !is_capital(country[1])) return {Outcome::bad, kUnknown};
  return {Outcome::found, country};
}

}  // namespace

Answer<Country> read_country(MMDB_entry_s& record) {
  const auto nested = read_country_at(record, {"country", "iso_code"});
  if (nested.outcome != Outcome::absent) return nested;
  return read_country_at(record, {"country_code"});
}

Answer<Place> read_place(MMDB_entry_s& record) {
  Reader reader(record);
  Place place;
  place.country_name = reader.text({{"country", "names", "en"}, {"country_name"}});
  place.region = reader.text({{"subdivisions", "0", "iso_code"}});
  place.region_name = reader.text({{"subdivisions", "0", "names", "en"}, {"state1"}});
  place.city = reader.text({{"city", "names", "en"}, {"city"}});
  place.postal_code = reader.text({{"postal", "code"}, {"postcode"}});
  place.time_zone = reader.text({{"location", "time_zone"}, {"timezone"}});
  place.latitude = reader.number({{"location", "latitude"}, {"latitude"}}, 90);
  place.longitude = reader.number({{"location", "longitude"}, {"longitude"}}, 180);
  place.metro_code = reader.unsigned_number({"location", "metro_code"});
  return {reader.outcome(), place};
}

Answer<std::uint32_t> read_asn(MMDB_entry_s& record) {
  Reader reader(record);
  const std::uint32_t number = reader.unsigned_number({"autonomous_system_number"});
  return {reader.outcome(), number};
}

}  // namespace vignette::geo
