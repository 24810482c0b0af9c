#include "geo/database.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "geo_support.h"
#include "mmdb_writer.h"

namespace vignette::geo {
namespace {

std::string country_of(const Database& database, const std::string& address) {
  return std::string(view(database.country(ip(address))));
}

TEST_CASE("a flat database answers for IPv4, mapped, 6to4 and IPv6 addresses") {
  MmdbWriter writer;
  Address v4{};
  v4[12] = 81;
  writer.add(v4, 104, {{"country_code", "GB"}, {"asn", "AS1"}});
  writer.add(ip("2001:db8::"), 32, {{"country_code", "JP"}});
  const TempFile file(writer.bytes());
  int bad_records = 0;
  const auto database = Database::open(file.path(), [&bad_records] { ++bad_records; });
  REQUIRE(database);
  CHECK((*database)->type() == "Test-Country");
  CHECK(country_of(**database, "81.2.69.160") == "GB");
  CHECK(country_of(**database, "::ffff:81.2.69.160") == "GB");
  CHECK(country_of(**database, "2002:5102:45a0::") == "GB");
  CHECK(country_of(**database, "2001:db8:1::1") == "JP");
  CHECK(country_of(**database, "82.0.0.1") == "ZZ");
  CHECK(country_of(**database, "2001:db9::1") == "ZZ");
  CHECK(country_of(**database, "2002:5202::") == "ZZ");
  CHECK(bad_records == 0);
}

TEST_CASE("records without a country are unknown, and bad ones are told") {
  MmdbWriter writer;
  writer.add(ip("2001:1::"), 32, {{"city", "X"}});
  writer.add(ip("2001:2::"), 32, {{"country_code", "gb"}});
  writer.add(ip("2001:3::"), 32, {{"country_code", "GBR"}});
  writer.add_raw(ip("2001:4::"), 32, MmdbWriter::text("GB"));
  writer.add_raw(ip("2001:5::"), 32, std::string("\xe1", 1));  // a map whose entries lie behind the data
  const TempFile file(writer.bytes());
  int bad_records = 0;
  const auto database = Database::open(file.path(), [&bad_records] { ++bad_records; });
  REQUIRE(database);
  CHECK(country_of(**database, "2001:1::1") == "ZZ");
  CHECK(bad_records == 0);
  CHECK(country_of(**database, "2001:2::1") == "ZZ");
  CHECK(country_of(**database, "2001:3::1") == "ZZ");
  CHECK(bad_records == 2);
  CHECK(country_of(**database, "2001:4::1") == "ZZ");
  CHECK(country_of(**database, "2001:5::1") == "ZZ");
  CHECK(bad_records >= 3);
}

TEST_CASE("a file that is missing, empty, cut or something else is refused with its name") {
  MmdbWriter writer;
  writer.add(ip("2001:1::"), 32, {{"country_code", "JP"}});
  const std::string whole = writer.bytes();
  const TempFile empty("");
  const TempFile cut(whole.substr(0, whole.size() / 2));
  const TempFile other("GIF89a, not a database");
  for (const std::string& path :
       {empty.path(), cut.path(), other.path(), std::string("/nonexistent/x.mmdb")}) {
    const auto database = Database::open(path);
    REQUIRE_FALSE(database);
    CHECK(database.error().find(path) != std::string::npos);
  }
}

TEST_CASE("a database whose file is cut, written over or removed in place keeps answering") {
  MmdbWriter writer;
  writer.add(ip("2001:1::"), 32, {{"country_code", "JP"}});
  const TempFile file(writer.bytes());
  const auto database = Database::open(file.path());
  REQUIRE(database);
  CHECK(country_of(**database, "2001:1::1") == "JP");
  std::filesystem::resize_file(file.path(), 0);
  CHECK(country_of(**database, "2001:1::1") == "JP");
  std::ofstream(file.path(), std::ios::binary) << std::string(100'000, 'x');
  CHECK(country_of(**database, "2001:1::1") == "JP");
  std::filesystem::remove(file.path());
  CHECK(country_of(**database, "2001:1::1") == "JP");
}

TEST_CASE("what is no regular file is refused at once") {
  for (const char* path : {"/dev/zero", "/dev/tty", "/tmp"}) CHECK_FALSE(Database::open(path));
}

TEST_CASE("every network of MaxMind's own test source has the country it says") {
  const std::string data = shared_data();
  if (data.empty()) return;
  for (const char* name : {"GeoIP2-Country-Test", "GeoIP2-City-Test"}) {
    int bad_records = 0;
    const auto database = Database::open(data + name + ".mmdb", [&bad_records] { ++bad_records; });
    REQUIRE(database);
    std::ifstream file(data + "source/" + name + ".json");
    const auto source = nlohmann::json::parse(file);
    std::size_t wrong = 0;
    std::size_t known = 0;
    for (const auto& entry : source) {
      for (const auto& [network, record] : entry.items()) {
        const std::string want =
            record.contains("country") ? record["country"].value("iso_code", "ZZ") : std::string("ZZ");
        known += want == "ZZ" ? 0 : 1;
        wrong += country_of(**database, network.substr(0, network.find('/'))) == want ? 0 : 1;
      }
    }
    CHECK(known > 200);
    CHECK(wrong == 0);
    CHECK(bad_records == 0);
  }
}

TEST_CASE("MaxMind's database answers for mapped and 6to4 addresses and knows what it does not know") {
  const std::string data = shared_data();
  if (data.empty()) return;
  const auto database = Database::open(data + "GeoIP2-Country-Test.mmdb");
  REQUIRE(database);
  for (const char* text : {"81.2.69.160", "::ffff:81.2.69.160", "2002:5102:45a0::"}) {
    CHECK(country_of(**database, text) == "GB");
  }
  for (const char* text : {"1.1.1.1", "10.0.0.1", "::1", "2a02:d500::1", "214.1.1.0"}) {
    CHECK(country_of(**database, text) == "ZZ");
  }
}

TEST_CASE("broken databases are refused or know nothing") {
  const std::string data = shared_data();
  if (data.empty()) return;
  for (const char* name : {"cyclic-data-structure", "libmaxminddb-metadata-marker-only"}) {
    CHECK_FALSE(Database::open(data + "bad/" + name + ".mmdb"));
  }
  for (const char* name : {"libmaxminddb-deep-nesting", "libmaxminddb-corrupt-search-tree"}) {
    const auto database = Database::open(data + "bad/" + name + ".mmdb");
    REQUIRE(database);
    for (const char* text : {"1.1.1.1", "81.2.69.160", "255.255.255.255", "0.0.0.0", "2001:db8::1"}) {
      CHECK(country_of(**database, text) == "ZZ");
    }
  }
}

TEST_CASE("an allow list refuses the unknown, a deny list wins") {
  const Country de{'D', 'E'};
  const Country fr{'F', 'R'};
  CHECK(Rules{}.allowed(kUnknown));
  CHECK(Rules{{de}, {}}.allowed(de));
  CHECK_FALSE(Rules{{de}, {}}.allowed(fr));
  CHECK_FALSE(Rules{{de}, {}}.allowed(kUnknown));
  CHECK(Rules{{de, kUnknown}, {}}.allowed(kUnknown));
  CHECK_FALSE(Rules{{}, {de}}.allowed(de));
  CHECK(Rules{{}, {de}}.allowed(kUnknown));
  CHECK_FALSE(Rules{{de}, {de}}.allowed(de));
}

}  // namespace
}  // namespace vignette::geo
