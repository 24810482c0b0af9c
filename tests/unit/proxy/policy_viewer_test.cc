#include "proxy/policy/viewer.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>

#include "base/strings.h"
#include "tests/unit/geo/geo_support.h"
#include "tests/unit/geo/mmdb_writer.h"

using namespace vignette;
using namespace vignette::proxy;

namespace {

using conf::ViewerField;
using W = geo::MmdbWriter;

std::string city_bytes() {
  W writer("Test-City");
  writer.add_raw(
      geo::ip("2001:db8::"), 32,
      W::table(
          {{"city", W::text("Linköping 100% \r\n")},
           {"country",
            W::table({{"iso_code", W::text("SE")}, {"names", W::table({{"en", W::text("Sweden")}})}})},
           {"location", W::table({{"latitude", W::real(58.4167)},
                                  {"longitude", W::real(-15.5)},
                                  {"metro_code", W::number(819)},
                                  {"time_zone", W::text("Europe/Stockholm")}})},
           {"postcode", W::text("582 22")},
           {"subdivisions", W::list({W::table({{"iso_code", W::text("E")},
                                               {"names", W::table({{"en", W::text("Östergötland")}})}})})}}));
  return writer.bytes();
}

std::string asn_bytes() {
  W writer("Test-ASN");
  writer.add_raw(geo::ip("2001:db8::"), 32, W::table({{"autonomous_system_number", W::number(64'512)}}));
  return writer.bytes();
}

struct Scene {
  geo::TempFile cities{city_bytes()};
  geo::TempFile systems{asn_bytes()};
  geo::DatabasesRef databases;
  http::FieldList fields;
  Arena texts{64 * 1024};
  ViewerFacts facts;

  Scene() {
    auto loaded = geo::load_databases({"", cities.path(), systems.path()}, nullptr,
                                      [](const std::string&) { return geo::Database::OnBadRecord(); });
    REQUIRE(loaded);
    databases = *loaded;
    facts.databases = databases.get();
  }
  void from(const std::string& address, std::uint16_t port) {
    facts.address = *conf::parse_ip(address);
    facts.port = port;
    facts.country = databases->country(facts.address);
  }
  std::map<std::string, std::string> told(const conf::ViewerFields& wanted) {
    REQUIRE(set_viewer_fields(wanted, facts, fields, texts));
    std::map<std::string, std::string> out;
    for (const http::Field& field : fields) out.emplace(field.name, field.value);
    return out;
  }
};

conf::ViewerFields all() { return conf::ViewerFields().set(); }
conf::ViewerFields only(ViewerField field) { return conf::ViewerFields().set(index(field)); }

}  // namespace

TEST_CASE("All that is known of a viewer is told under CloudFront's names") {
  Scene scene;
  scene.from("2001:db8::abcd", 46532);
  const std::map<std::string, std::string> wanted = {
      {"cloudfront-viewer-address", "2001:db8:0:0:0:0:0:abcd:46532"},
      {"cloudfront-viewer-asn", "64512"},
      {"cloudfront-viewer-city", "Link%C3%B6ping 100%25 %0D%0A"},
      {"cloudfront-viewer-country", "SE"},
      {"cloudfront-viewer-country-name", "Sweden"},
      {"cloudfront-viewer-country-region", "E"},
      {"cloudfront-viewer-country-region-name", "%C3%96sterg%C3%B6tland"},
      {"cloudfront-viewer-latitude", "58.41670"},
      {"cloudfront-viewer-longitude", "-15.50000"},
      {"cloudfront-viewer-metro-code", "819"},
      {"cloudfront-viewer-postal-code", "582 22"},
      {"cloudfront-viewer-time-zone", "Europe/Stockholm"},
  };
  CHECK(scene.told(all()) == wanted);
}

TEST_CASE("Each field of a viewer is told alone where it is asked for alone") {
  Scene scene;
  scene.from("2001:db8::abcd", 46532);
  for (std::size_t i = 0; i < conf::kViewerFieldNames.size(); ++i) {
    const auto told = scene.told(only(static_cast<ViewerField>(i)));
    REQUIRE(told.size() == 1);
    CHECK(told.begin()->first == to_lower(conf::kViewerFieldNames[i]));
  }
  CHECK(scene.told({}).empty());
}

TEST_CASE("What is not known of a viewer is not told") {
  Scene scene;
  scene.from("198.51.100.10", 46532);
  CHECK(scene.told(all()) ==
        std::map<std::string, std::string>{{"cloudfront-viewer-address", "198.51.100.10:46532"}});
  scene.facts.port = 0;
  CHECK(scene.told(all()).empty());
  scene.facts.databases = nullptr;
  CHECK(scene.told(all()).empty());
}

TEST_CASE("What a client says under the prefix goes, known or not, told or not") {
  for (const auto& wanted : {conf::ViewerFields(), only(ViewerField::city), all()}) {
    Scene scene;
    scene.from("2001:db8::abcd", 46532);
    for (const char* name : {"cloudfront-viewer-city", "cloudfront-viewer-city", "cloudfront-viewer-country",
                             "cloudfront-viewer-tls", "cloudfront-viewer-"}) {
      REQUIRE(scene.fields.add(name, "forged"));
    }
    REQUIRE(scene.fields.add("cloudfront-forwarded-proto", "kept"));
    const auto told = scene.told(wanted);
    CHECK(told.size() == wanted.count() + 1);
    for (const auto& [name, value] : told) CHECK(value != "forged");
    CHECK(told.at("cloudfront-forwarded-proto") == "kept");
  }
}

TEST_CASE("The node's own requests keep what the route tells") {
  Scene scene;
  REQUIRE(scene.fields.add("cloudfront-viewer-city", "Here"));
  REQUIRE(scene.fields.add("cloudfront-viewer-asn", "1"));
  REQUIRE(scene.fields.add("accept", "*/*"));
  keep_viewer_fields(only(ViewerField::city), scene.fields);
  CHECK(scene.fields.size() == 2);
  CHECK(scene.fields.find("cloudfront-viewer-city"));
}

TEST_CASE("Fields of a viewer that do not fit are told of") {
  Scene scene;
  scene.from("2001:db8::abcd", 46532);
  Arena small(8);
  CHECK_FALSE(set_viewer_fields(all(), scene.facts, scene.fields, small));
  http::FieldList full;
  while (full.size() < http::FieldList::kCapacity - 1) REQUIRE(full.add("x-a", "b"));
  CHECK(set_viewer_fields(only(ViewerField::city), scene.facts, full, scene.texts));
  CHECK_FALSE(set_viewer_fields(all(), scene.facts, full, scene.texts));
}
