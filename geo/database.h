// A MaxMind database: a copy of the file, mapped into memory. Understands MaxMind's own schema
// (`country.iso_code`) and the flat one (`country_code` at the top of the record). A record without either,
// or a file that turns out to be corrupt behind its head, is "unknown", never a failure of the request.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "geo/country.h"

struct MMDB_s;

namespace vignette::geo {

// 16 bytes, network order; IPv4 is mapped (::ffff:a.b.c.d).
using Address = std::array<std::uint8_t, 16>;

// Thread-safe. Lookups take no lock and make no system call. What happens to the file after open() does not
// matter: replaced, written over or gone.
class Database {
 public:
  // Called on the thread of each lookup that meets corrupt data or a country that is not two letters.
  using OnBadRecord = std::function<void()>;

  // Reads the whole file, so it may block: on load and reload, never on a loop.
  // The error is a sentence for the operator, with the path.
  static std::expected<std::shared_ptr<const Database>, std::string> open(const std::string& path,
                                                                          OnBadRecord on_bad_record = {});

  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // kUnknown for addresses without a record, records without a country, and bad records. A 6to4
  // address (2002::/16) without its own record has the country of the IPv4 address inside it.
  Country country(const Address& address) const;

  const std::string& type() const { return type_; }  // "GeoLite2-Country"

 private:
  Database(std::unique_ptr<MMDB_s> handle, OnBadRecord on_bad_record);

  std::unique_ptr<MMDB_s> handle_;
  std::string type_;
  OnBadRecord on_bad_record_;
};

}  // namespace vignette::geo
