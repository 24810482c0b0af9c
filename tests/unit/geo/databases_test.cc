#include "geo/databases.h"

#include <catch2/catch.hpp>

#include "geo_support.h"
#include "mmdb_writer.h"

namespace vignette::geo {
namespace {

std::string countries(const std::string& code) {
  MmdbWriter writer;
  writer.add(ip("2001:1::"), 32, {{"country_code", code}});
  return writer.bytes();
}

std::string cities(const std::string& country, const std::string& city) {
  MmdbWriter writer("Test-City");
  writer.add(ip("2001:1::"), 32, {{"city", city}, {"country_code", country}});
  return writer.bytes();
}

Database::OnBadRecord no_report(const std::string&) { return {}; }

DatabasesRef loaded(const Paths& paths, const DatabasesRef& in_use = nullptr) {
  auto databases = load_databases(paths, in_use, no_report);
  REQUIRE(databases);
  return *databases;
}

using Refused = ByKind<std::optional<FileMark>>;

TEST_CASE("countries are those of their own database, else of that of cities, else unknown") {
  const TempFile country(countries("JP"));
  const TempFile city(cities("SE", "X"));
  const Address address = ip("2001:1::1");
  CHECK(view(loaded({country.path(), city.path(), ""})->country(address)) == "JP");
  CHECK(view(loaded({"", city.path(), ""})->country(address)) == "SE");
  CHECK(loaded({"", "", ""})->country(address) == kUnknown);
}

TEST_CASE("loading tells of each file that cannot be used, and keeps what has not changed") {
  const TempFile country(countries("JP"));
  const TempFile city(cities("SE", "X"));
  const auto failed = load_databases({"/nonexistent", country.path(), ""}, nullptr, no_report);
  REQUIRE_FALSE(failed);
  REQUIRE(failed.error().size() == 2);
  CHECK(failed.error()[0] == "cannot open the geo database /nonexistent: No such file or directory");
  CHECK(failed.error()[1].find("is no database of kind city") != std::string::npos);
  const auto first = loaded({country.path(), city.path(), ""});
  city.replace(cities("SE", "Y"));
  const auto second = loaded({country.path(), city.path(), ""}, first);
  CHECK(second->find(Kind::country) == first->find(Kind::country));
  CHECK(second->find(Kind::city) != first->find(Kind::city));
}

TEST_CASE("a look finds what was replaced, by a rename or in place, and nothing else") {
  const TempFile country(countries("JP"));
  const Paths paths{country.path(), "", ""};
  const auto first = loaded(paths);
  CHECK(look_again(paths, *first, {}, no_report).empty());
  country.replace(countries("SE"));
  const auto changes = look_again(paths, *first, {}, no_report);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].kind == Kind::country);
  REQUIRE(changes[0].database);
  CHECK(view(changes[0].database->country(ip("2001:1::1"))) == "SE");
  CHECK(view(first->country(ip("2001:1::1"))) == "JP");
  country.write(countries("DE") + " ");
  const auto again = look_again(paths, *first, {}, no_report);
  REQUIRE(again.size() == 1);
  REQUIRE(again[0].database);
  CHECK(view(again[0].database->country(ip("2001:1::1"))) == "DE");
}

TEST_CASE("a file that is cut, of another kind or gone is refused once, until it changes") {
  const TempFile country(countries("JP"));
  const Paths paths{country.path(), "", ""};
  const auto first = loaded(paths);
  Refused refused;
  MmdbWriter other("Test-ASN");
  other.add_raw(ip("2001:1::"), 32, MmdbWriter::table({{"autonomous_system_number", MmdbWriter::number(1)}}));
  for (const std::string& bytes : {countries("SE").substr(0, 100), std::string(), other.bytes()}) {
    country.replace(bytes);
    const auto changes = look_again(paths, *first, refused, no_report);
    REQUIRE(changes.size() == 1);
    CHECK_FALSE(changes[0].database);
    CHECK(changes[0].error.find(country.path()) != std::string::npos);
    refused[index(Kind::country)] = changes[0].mark;
    CHECK(look_again(paths, *first, refused, no_report).empty());
  }
  std::filesystem::remove(country.path());
  const auto gone = look_again(paths, *first, refused, no_report);
  REQUIRE(gone.size() == 1);
  CHECK(gone[0].error.ends_with("No such file or directory"));
  refused[index(Kind::country)] = gone[0].mark;
  CHECK(look_again(paths, *first, refused, no_report).empty());
  country.replace(countries("DE") + " ");  // of another size than the first, whose inode it may have
  const auto good = look_again(paths, *first, refused, no_report);
  REQUIRE(good.size() == 1);
  CHECK(good[0].database);
}

}  // namespace
}  // namespace vignette::geo
