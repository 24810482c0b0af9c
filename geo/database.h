// A MaxMind database: a copy of the file, mapped into memory. Understands MaxMind's own schemas
// (`country.iso_code`, `city.names.en`) and flat ones (`country_code`, `city` at the top of the record). A
// record without what is asked for, or a file that turns out to be corrupt behind its head, is "unknown",
// never a failure of the request.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "geo/country.h"
#include "geo/file_copy.h"

struct MMDB_s;

namespace vignette::geo {

// 16 bytes, network order; IPv4 is mapped (::ffff:a.b.c.d).
using Address = std::array<std::uint8_t, 16>;

// What a database is asked for.
enum class Kind : std::uint8_t { country, city, asn };
inline constexpr std::array kKinds{Kind::country, Kind::city, Kind::asn};
std::string_view to_string(Kind kind);

// Of an address, in English; UTF-8 as the database has it. Views into the database; "" is unknown.
struct Place {
  std::string_view country_name;
  std::string_view region;  // the subdivision's ISO 3166-2 code, without the country
  std::string_view region_name;
  std::string_view city;
  std::string_view postal_code;
  std::string_view time_zone;  // "Europe/Berlin"
  std::optional<double> latitude;
  std::optional<double> longitude;
  std::uint32_t metro_code = 0;  // 0: unknown
};

// Thread-safe. Lookups take no lock and make no system call. What happens to the file after open() does not
// matter: replaced, written over or gone.
class Database {
 public:
  // Called on the thread of each lookup that meets corrupt data or a country that is not two letters.
  using OnBadRecord = std::function<void()>;

  // Longer texts of a record are unknown.
  static constexpr std::size_t kMaxTextBytes = 256;

  // Reads the whole file, so it may block: on load and reload, never on a loop.
  // The error is a sentence for the operator, with the path.
  static std::expected<std::shared_ptr<const Database>, std::string> open(const std::string& path,
                                                                          OnBadRecord on_bad_record = {});
  // The same for one that must say this: a file of another kind is refused.
  static std::expected<std::shared_ptr<const Database>, std::string> open(Kind kind, const std::string& path,
                                                                          OnBadRecord on_bad_record = {});

  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // kUnknown for addresses without a record, records without a country, and bad records. A 6to4
  // address (2002::/16) without its own record has the country of the IPv4 address inside it.
  Country country(const Address& address) const;
  // The same of what else is known of it.
  Place place(const Address& address) const;
  std::uint32_t asn(const Address& address) const;  // 0: unknown

  const std::string& path() const { return path_; }
  const std::string& type() const { return type_; }  // "GeoLite2-Country"
  std::chrono::sys_seconds built() const;
  const FileMark& mark() const { return mark_; }

 private:
  Database(std::unique_ptr<MMDB_s> handle, const std::string& path, const FileMark& mark,
           OnBadRecord on_bad_record);

  bool says(Kind kind) const;
  void report() const;

  std::unique_ptr<MMDB_s> handle_;
  std::string path_;
  FileMark mark_;
  std::string type_;
  OnBadRecord on_bad_record_;
};

}  // namespace vignette::geo
