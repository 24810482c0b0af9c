#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "geo_support.h"
#include "mmdb_writer.h"

namespace vignette::geo {
namespace {

using W = MmdbWriter;

// As MaxMind's databases of cities have it.
std::string city_record(const std::string& city) {
  const std::string names = W::table({{"en", W::text(city)}, {"de", W::text("anders")}});
  const std::string region = W::table(
      {{"iso_code", W::text("E")}, {"names", W::table({{"en", W::text("\xc3\x96sterg\xc3\xb6tland")}})}});
  return W::table({
      {"city", W::table({{"names", names}})},
      {"country", W::table({{"iso_code", W::text("SE")}, {"names", W::table({{"en", W::text("Sweden")}})}})},
      {"location", W::table({{"latitude", W::real(58.4167)},
                             {"longitude", W::real(-15.6167)},
                             {"metro_code", W::number(819)},
                             {"time_zone", W::text("Europe/Stockholm")}})},
      {"postal", W::table({{"code", W::text("582 22")}})},
      {"subdivisions", W::list({region, W::table({{"iso_code", W::text("no")}})})},
  });
}

std::shared_ptr<const Database> opened(Kind kind, const std::string& path) {
  auto database = Database::open(kind, path);
  INFO((database ? std::string() : database.error()));
  REQUIRE(database);
  return *database;
}

TEST_CASE("a database of cities says all of a place, of the first subdivision and in English") {
  W writer("Test-City");
  writer.add_raw(ip("2001:1::"), 32, city_record("Link\xc3\xb6ping"));
  const TempFile file(writer.bytes());
  const auto database = opened(Kind::city, file.path());
  CHECK(database->built() == std::chrono::sys_seconds(std::chrono::seconds(1'700'000'000)));
  CHECK(view(database->country(ip("2001:1::1"))) == "SE");
  const Place place = database->place(ip("2001:1::1"));
  CHECK(place.country_name == "Sweden");
  CHECK(place.region == "E");
  CHECK(place.region_name == "\xc3\x96sterg\xc3\xb6tland");
  CHECK(place.city == "Link\xc3\xb6ping");
  CHECK(place.postal_code == "582 22");
  CHECK(place.time_zone == "Europe/Stockholm");
  CHECK(place.latitude == 58.4167);
  CHECK(place.longitude == -15.6167);
  CHECK(place.metro_code == 819);
}

TEST_CASE("a flat database of cities is understood, and what it lacks is unknown") {
  W writer("Flat-City");
  writer.add_raw(ip("2001:1::"), 32,
                 W::table({{"city", W::text("Mountain View")},
                           {"country_code", W::text("US")},
                           {"latitude", W::real(37.4)},
                           {"postcode", W::text("94043")},
                           {"state1", W::text("California")},
                           {"timezone", W::text("America/Los_Angeles")}}));
  writer.add(ip("2001:2::"), 32, {{"country_code", "US"}});
  const TempFile file(writer.bytes());
  const auto database = opened(Kind::city, file.path());
  const Place place = database->place(ip("2001:1::1"));
  CHECK(place.city == "Mountain View");
  CHECK(place.region_name == "California");
  CHECK(place.region.empty());
  CHECK(place.postal_code == "94043");
  CHECK(place.time_zone == "America/Los_Angeles");
  CHECK(place.latitude == 37.4);
  CHECK_FALSE(place.longitude);
  CHECK(place.metro_code == 0);
  CHECK(database->place(ip("2001:2::1")).city.empty());
  CHECK(database->place(ip("2001:3::1")).city.empty());
}

TEST_CASE("a text is unknown above its limit") {
  W writer("Test-City");
  const auto city = [](std::size_t bytes) { return W::encode({{"city", std::string(bytes, 'x')}}); };
  writer.add_raw(ip("2001:1::"), 32, city(Database::kMaxTextBytes));
  writer.add_raw(ip("2001:2::"), 32, city(Database::kMaxTextBytes + 1));
  const TempFile file(writer.bytes());
  const auto database = opened(Kind::city, file.path());
  CHECK(database->place(ip("2001:1::1")).city.size() == Database::kMaxTextBytes);
  CHECK(database->place(ip("2001:2::1")).city.empty());
}

TEST_CASE("autonomous systems are found for IPv4, 6to4 and IPv6, and none is 0") {
  W writer("Test-ASN");
  Address v4{};
  v4[12] = 81;
  writer.add_raw(v4, 104, W::table({{"autonomous_system_number", W::number(4'200'000'001U)}}));
  writer.add_raw(ip("2001:1::"), 32, W::table({{"autonomous_system_number", W::number(64'512)}}));
  writer.add(ip("2001:2::"), 32, {{"autonomous_system_organization", "nobody"}});
  const TempFile file(writer.bytes());
  const auto database = opened(Kind::asn, file.path());
  CHECK(database->asn(ip("81.2.69.160")) == 4'200'000'001U);
  CHECK(database->asn(ip("2002:5102:45a0::")) == 4'200'000'001U);
  CHECK(database->asn(ip("2001:1::1")) == 64'512);
  CHECK(database->asn(ip("2001:2::1")) == 0);
  CHECK(database->asn(ip("82.0.0.1")) == 0);
}

TEST_CASE("bad data in a place is told, once a lookup, and the rest of it is known") {
  W writer("Test-City");
  writer.add(ip("2001:1::"), 32, {{"city", "X"}});
  writer.add_raw(ip("2001:2::"), 32, std::string("\xe1", 1));  // a map whose entries lie behind the data
  const TempFile file(writer.bytes());
  int bad_records = 0;
  const auto database = Database::open(Kind::city, file.path(), [&bad_records] { ++bad_records; });
  REQUIRE(database);
  CHECK((*database)->place(ip("2001:1::1")).city == "X");
  CHECK(bad_records == 0);
  CHECK((*database)->place(ip("2001:2::1")).city.empty());
  CHECK((*database)->asn(ip("2001:2::1")) == 0);
  CHECK(bad_records == 2);
}

TEST_CASE("a database of another kind is refused by what its records say") {
  W cities("C"), countries("L"), systems("A"), nothing("N");
  cities.add_raw(ip("2001:1::"), 32, city_record("X"));
  countries.add(ip("2001:1::"), 32, {{"country_code", "JP"}});
  systems.add_raw(ip("2001:1::"), 32, W::table({{"autonomous_system_number", W::number(1)}}));
  const TempFile files[] = {TempFile(countries.bytes()), TempFile(cities.bytes()), TempFile(systems.bytes()),
                            TempFile(nothing.bytes())};
  const bool fits[3][4] = {
      {true, true, false, false}, {false, true, false, false}, {false, false, true, false}};
  for (const Kind kind : kKinds) {
    for (std::size_t i = 0; i < 4; ++i) {
      INFO(to_string(kind) << " of file " << i);
      const auto database = Database::open(kind, files[i].path());
      CHECK(database.has_value() == fits[static_cast<std::size_t>(kind)][i]);
      if (!database) CHECK(database.error().find(files[i].path()) != std::string::npos);
    }
  }
}

nlohmann::json source(const std::string& data, const std::string& name) {
  std::ifstream file(data + "source/" + name + ".json");
  return nlohmann::json::parse(file);
}

template <class Check>
std::size_t each_network(const nlohmann::json& source, Check&& check) {
  std::size_t count = 0;
  for (const auto& entry : source) {
    for (const auto& [network, record] : entry.items()) {
      check(ip(network.substr(0, network.find('/'))), record);
      ++count;
    }
  }
  return count;
}

std::string string_at(const nlohmann::json& record, const char* pointer) {
  const nlohmann::json::json_pointer at(pointer);
  return record.contains(at) ? record[at].get<std::string>() : std::string();
}

TEST_CASE("every network of MaxMind's own test source has the place and the system it says") {
  const std::string data = shared_data();
  if (data.empty()) return;
  const auto cities = opened(Kind::city, data + "GeoIP2-City-Test.mmdb");
  const auto places =
      each_network(source(data, "GeoIP2-City-Test"), [&](const Address& address, const auto& record) {
        const Place place = cities->place(address);
        CHECK(place.country_name == string_at(record, "/country/names/en"));
        CHECK(place.region == string_at(record, "/subdivisions/0/iso_code"));
        CHECK(place.region_name == string_at(record, "/subdivisions/0/names/en"));
        CHECK(place.city == string_at(record, "/city/names/en"));
        CHECK(place.postal_code == string_at(record, "/postal/code"));
        CHECK(place.time_zone == string_at(record, "/location/time_zone"));
        const nlohmann::json::json_pointer latitude("/location/latitude");
        REQUIRE(place.latitude.has_value() == record.contains(latitude));
        if (place.latitude) CHECK(*place.latitude == record[latitude].template get<double>());
      });
  CHECK(places > 200);
  const auto systems = opened(Kind::asn, data + "GeoLite2-ASN-Test.mmdb");
  const auto numbers =
      each_network(source(data, "GeoLite2-ASN-Test"), [&](const Address& address, const auto& record) {
        CHECK(systems->asn(address) == record.value("autonomous_system_number", 0U));
      });
  CHECK(numbers > 200);
}

}  // namespace
}  // namespace vignette::geo
