// Where clients are: what origins are told of it, what of that is in keys, and databases whose files change
// while requests run. Clients are on loopback, so a trusted hop says other addresses.
#include <catch2/catch.hpp>

#include <atomic>
#include <thread>

#include "tests/component/scene.h"
#include "tests/unit/geo/geo_support.h"
#include "tests/unit/geo/mmdb_writer.h"

using namespace vignette::test;
using namespace std::string_literals;
using vignette::geo::TempFile;
using W = vignette::geo::MmdbWriter;

namespace {

constexpr const char* kJapanese = "X-Forwarded-For: 2001:1::1\r\n";
constexpr const char* kSwedish = "X-Forwarded-For: 2001:2::1\r\n";
constexpr const char* kUnknown = "X-Forwarded-For: 2001:3::1\r\n";

std::string cities(const std::string& first, const std::string& second) {
  W writer("Test-City");
  writer.add(vignette::geo::ip("2001:1::"), 32, {{"city", first}, {"country_code", "JP"}});
  writer.add(vignette::geo::ip("2001:2::"), 32, {{"city", second}, {"country_code", "SE"}});
  return writer.bytes();
}

std::string systems() {
  W writer("Test-ASN");
  writer.add_raw(vignette::geo::ip("2001:1::"), 32,
                 W::table({{"autonomous_system_number", W::number(64'512)}}));
  return writer.bytes();
}

std::string trusting(const std::string& geo) {
  return "[server]\ntrusted = [\"127.0.0.0/8\"]\n[geo]\ninterval = \"100ms\"\n" + geo;
}

std::string city_line(const TempFile& file) { return "city = \"" + file.path() + "\"\n"; }

// Asks until the answer is that, for at most 10 s; each answer on the way is one of the two.
bool becomes(Scene& scene, const std::string& lines, const std::string& before, const std::string& after) {
  RawClient client = scene.client();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < deadline) {
    if (client.fetch("/", lines).status != 200) return false;
    const std::string city = scene.origin.log().back().field("cloudfront-viewer-city");
    if (city == after) return true;
    if (city != before) return false;
  }
  return false;
}

// Until the metric is that, for at most 10 s.
bool reaches(TestNode& node, const char* name, double value) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < deadline) {
    if (node.metric(name) == value) return true;
    std::this_thread::yield();
  }
  return false;
}

}  // namespace

TEST_CASE("Origins are told what is known of a client, and nothing that it says of itself") {
  const TempFile city(cities("Tokyo", "Lund")), asn(systems());
  Scene scene(always("", "ok"), "geo = { headers = true }",
              trusting(city_line(city) + "asn = \"" + asn.path() + "\"\n"));
  RawClient client = scene.client();
  const std::string forged =
      "CloudFront-Viewer-City: Rome\r\ncloudfront-viewer-asn: 1\r\nCloudFront-Viewer-TLS: x\r\n"
      "CLOUDFRONT-VIEWER-ADDRESS: 6.6.6.6:1\r\n";
  client.fetch("/", kJapanese + forged);
  OriginCall call = scene.origin.log().back();
  CHECK(call.field("cloudfront-viewer-city") == "Tokyo");
  CHECK(call.field("cloudfront-viewer-country") == "JP");
  CHECK(call.field("cloudfront-viewer-asn") == "64512");
  CHECK(call.field("cloudfront-viewer-tls").empty());
  CHECK(call.field("cloudfront-viewer-address").empty());  // of whom the hop speaks has no port that we know
  client.fetch("/", kUnknown + forged);
  call = scene.origin.log().back();
  for (const char* name : {"city", "country", "asn", "tls", "address"}) {
    CHECK(call.field("cloudfront-viewer-"s + name).empty());
  }
  client.fetch("/", forged);
  CHECK(scene.origin.log().back().field("cloudfront-viewer-address").starts_with("127.0.0.1:"));
}

TEST_CASE("Forged fields of viewers reach no origin by any way") {
  for (const char* route :
       {"", "cache = \"off\"", "cache = \"on\"", "geo = { headers = [\"CloudFront-Viewer-Address\"] }"}) {
    Scene scene(always("Cache-Control: max-age=0\r\n", "ok"), route);
    RawClient client = scene.client();
    for (const char* request : {"GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nContent-Length: 0\r\n",
                                "HEAD / HTTP/1.1\r\n", "GET /part HTTP/1.1\r\nRange: bytes=0-0\r\n"}) {
      client.send(request +
                  "Host: test.local\r\nCloudFront-Viewer-City: Rome\r\nCloudFront-Viewer-Country: IT\r\n"
                  "CloudFront-Viewer-Address: 6.6.6.6:1\r\n\r\n"s);
      client.read(std::string_view(request).starts_with("HEAD"));
    }
    REQUIRE(scene.origin.calls() >= 4);
    for (const OriginCall& call : scene.origin.log()) {
      CHECK(call.field("cloudfront-viewer-city").empty());
      CHECK(call.field("cloudfront-viewer-country").empty());
      CHECK(call.field("cloudfront-viewer-address") != "6.6.6.6:1");
    }
  }
}

TEST_CASE("Where a client is tells stored answers apart only where key or Vary name it") {
  const TempFile city(cities("Tokyo", "Lund"));
  const std::string told = "geo = { headers = true }\n";
  struct Case {
    std::string route, vary;
    int calls;
  };
  for (const Case& is : {Case{told, "", 1}, Case{told, "Vary: CloudFront-Viewer-City\r\n", 3},
                         Case{told + "cache = { key = { headers = [\"CloudFront-Viewer-City\"] } }", "", 3},
                         Case{"", "Vary: CloudFront-Viewer-City\r\n", 1}}) {
    INFO(is.route << " " << is.vary);
    Scene scene(always("Cache-Control: max-age=60\r\n" + is.vary, "ok"), is.route, trusting(city_line(city)));
    RawClient client = scene.client();
    for (int round = 0; round < 2; ++round) {
      for (const char* from : {kJapanese, kSwedish, kUnknown}) {
        CHECK(client.fetch("/", from + "CloudFront-Viewer-City: Rome\r\n"s).status == 200);
      }
    }
    CHECK(scene.origin.calls() == is.calls);
  }
}

TEST_CASE("A database whose file is replaced is used from then on, whatever requests run") {
  const TempFile city(cities("Tokyo", "Lund"));
  Scene scene(always("Cache-Control: no-store\r\n", "ok"), "geo = { headers = true }",
              trusting(city_line(city)), {.workers = 2});
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::atomic<int> asked{0};
  std::thread others([&] {
    RawClient client = scene.client();
    while (!done) {
      wrong += client.fetch("/", kSwedish).status == 200 ? 0 : 1;
      ++asked;
    }
  });
  std::string before = "Tokyo";
  for (const char* after : {"Kyoto", "Osaka", "Nara"}) {
    city.replace(cities(after, "Lund"));
    CHECK(becomes(scene, kJapanese, before, after));
    before = after;
  }
  done = true;
  others.join();
  CHECK(wrong == 0);
  CHECK(asked > 0);
  for (const OriginCall& call : scene.origin.log()) {
    const std::string is = call.field("cloudfront-viewer-city");
    CHECK((is == "Lund" || is == "Tokyo" || is == "Kyoto" || is == "Osaka" || is == "Nara"));
  }
  CHECK(scene.node.metric("vignette_geo_replaced_total", "city") == 3);
  CHECK(scene.node.metric("vignette_geo_refused_total") == 0);
  CHECK(scene.node.metric("vignette_geo_build_timestamp_seconds", "city") == 1'700'000'000);
}

TEST_CASE("A file that cannot be used leaves the one in use, and is told once") {
  const TempFile city(cities("Tokyo", "Lund"));
  Scene scene(always("Cache-Control: no-store\r\n", "ok"), "geo = { headers = true }",
              trusting(city_line(city)));
  city.write(cities("Kyoto", "Lund").substr(0, 90));  // cut, in place
  REQUIRE(reaches(scene.node, "vignette_geo_refused_total", 1));
  CHECK(becomes(scene, kJapanese, "Tokyo", "Tokyo"));
  city.replace(systems());
  REQUIRE(reaches(scene.node, "vignette_geo_refused_total", 2));
  CHECK(becomes(scene, kJapanese, "Tokyo", "Tokyo"));
  const std::string log = scene.node.log_text();
  CHECK(log.find(city.path() + " is not a usable MaxMind database") != std::string::npos);
  CHECK(log.find(city.path() + " is no database of kind city") != std::string::npos);
  CHECK(log.find("going on with the one in use (Test-City, built 2023-11-14)") != std::string::npos);
  city.replace(cities("Osaka", "Lund"));
  CHECK(becomes(scene, kJapanese, "Tokyo", "Osaka"));
  CHECK(scene.node.metric("vignette_geo_refused_total") == 2);
}

TEST_CASE("A reload looks at other files, and takes databases away") {
  const TempFile first(cities("Tokyo", "Lund")), second(cities("Kyoto", "Lund"));
  Scene scene(always("Cache-Control: no-store\r\n", "ok"), "geo = { headers = true }",
              trusting(city_line(first)));
  CHECK(becomes(scene, kJapanese, "", "Tokyo"));
  scene.node.reload(proxy_config(scene.origin, "geo = { headers = true }", trusting(city_line(second))));
  CHECK(becomes(scene, kJapanese, "Tokyo", "Kyoto"));
  first.replace(cities("Nara", "Lund"));
  second.replace(cities("Osaka", "Lund"));
  CHECK(becomes(scene, kJapanese, "Kyoto", "Osaka"));
  scene.node.reload(proxy_config(scene.origin, "", "[server]\ntrusted = [\"127.0.0.0/8\"]\n"));
  CHECK(becomes(scene, kJapanese, "Osaka", ""));
  CHECK(scene.node.metric("vignette_geo_build_timestamp_seconds") == 0);
}
