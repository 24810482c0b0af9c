// Where clients are: what origins are told of it, what of that is in keys, and databases whose files change
// while requests run. Clients are on loopback, so a trusted hop says other addresses.
#include <catch2/catch.hpp>

#include <atomic>
#include <string>
#include <thread>

#include "tests/component/scene.h"
#include "tests/support/h2_client.h"
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
  return "[server]\ntrusted = [\"127.0.0.0/8\"]\n[geo]\npoll = \"100ms\"\n" + geo;
}

std::string city_line(const TempFile& file) { return "city = \"" + file.path() + "\"\n"; }

// The body is the city that the origin was told, "-" without one.
bool tell_city(const OriginCall& call, const ScriptedOrigin::Send& send) {
  const std::string city = call.field("cloudfront-viewer-city");
  return send(ScriptedOrigin::answer(200, "Cache-Control: no-store\r\n", city.empty() ? "-" : city));
}

// Asks until it is told `after`; false: not within ten seconds, or something else than `before` on the way.
bool city_becomes(Scene& scene, const std::string& before, const std::string& after) {
  RawClient client = scene.client();
  std::string told = before;
  const bool done = becomes([&] {
    told = client.fetch("/", kJapanese).body;
    return told != before;
  });
  return done && told == after;
}

std::size_t count(const std::string& text, std::string_view what) {
  std::size_t times = 0;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++times;
  return times;
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

TEST_CASE("A client cannot have the viewer's fields removed by naming them in Connection") {
  const TempFile city(cities("Tokyo", "Lund"));
  Scene scene(tell_city, "geo = { headers = true }", trusting(city_line(city)));
  RawClient client = scene.client();
  CHECK(client.fetch("/", kJapanese + "Connection: CloudFront-Viewer-City\r\n"s).status == 400);
  CHECK(scene.origin.calls() == 0);
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

TEST_CASE("Whose address a PROXY header names is who the origin is told of, port and all") {
  const TempFile city(cities("Tokyo", "Lund"));
  const std::string listener = "[[listener]]\n";
  ScriptedOrigin origin(always("Cache-Control: no-store\r\n", "ok"));
  std::string text = proxy_config(origin, "geo = { headers = true }", trusting(city_line(city)));
  text.insert(text.find(listener) + listener.size(), "proxy_protocol = true\n");
  TestNode node(text);
  RawClient client(node.port());
  client.send("PROXY TCP6 2001:1::1 2001:9::9 46532 80\r\n");
  CHECK(client.fetch("/", "CloudFront-Viewer-Address: 6.6.6.6:1\r\n").status == 200);
  const OriginCall call = origin.log().back();
  CHECK(call.field("cloudfront-viewer-address") == "2001:1:0:0:0:0:0:1:46532");
  CHECK(call.field("cloudfront-viewer-city") == "Tokyo");
}

TEST_CASE("Requests of HTTP/2 and WebSocket handshakes tell of their viewers, too") {
  const TempFile city(cities("Tokyo", "Lund"));
  const std::string listener = "[[listener]]\n";
  ScriptedOrigin origin(tell_city);
  std::string text =
      proxy_config(origin, "geo = { headers = true }\nwebsocket = true", trusting(city_line(city)));
  text.insert(text.find(listener) + listener.size(), "http2 = true\n");
  TestNode node(text);
  H2Client two(node.port());
  const h2::Fields fields = {{"x-forwarded-for", "2001:2::1"}, {"cloudfront-viewer-city", "Rome"}};
  CHECK(two.fetch("/", fields).body == "Lund");
  RawClient upgrading(node.port());
  CHECK(upgrading
            .fetch("/chat", kJapanese +
                                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                "CloudFront-Viewer-City: Rome\r\n"s)
            .body == "Tokyo");
  CHECK(!origin.log().back().field("sec-websocket-key").empty());
}

TEST_CASE("A database whose file is replaced is used from then on, whatever requests run") {
  const TempFile city(cities("Tokyo", "Lund"));
  Scene scene(tell_city, "geo = { headers = true }", trusting(city_line(city)), {.workers = 2});
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::atomic<int> asked{0};
  std::thread others([&] {
    RawClient client = scene.client();
    while (!done) {
      wrong += client.fetch("/", kSwedish).body == "Lund" ? 0 : 1;
      ++asked;
    }
  });
  std::string before = "Tokyo";
  for (const char* after : {"Kyoto", "Osaka", "Nara"}) {
    city.replace(cities(after, "Lund"));
    CHECK(city_becomes(scene, before, after));
    before = after;
  }
  done = true;
  others.join();
  CHECK(wrong == 0);
  CHECK(asked > 0);
  CHECK(scene.node.metric("vignette_geo_replaced_total", "city") == 3);
  CHECK(scene.node.metric("vignette_geo_refused_total") == 0);
  CHECK(scene.node.metric("vignette_geo_build_timestamp_seconds", "city") == 1'700'000'000);
}

TEST_CASE("A file that cannot be used leaves the one in use, and is told of once") {
  const TempFile city(cities("Tokyo", "Lund"));
  Scene scene(tell_city, "geo = { headers = true }", trusting(city_line(city)));
  const auto logged = [&](const std::string& text) {
    return becomes([&] { return scene.node.log_text().find(text) != std::string::npos; });
  };
  city.write(cities("Kyoto", "Lund").substr(0, 90));  // cut, in place
  CHECK(logged(city.path() + " is not a usable MaxMind database"));
  CHECK(scene.client().fetch("/", kJapanese).body == "Tokyo");
  city.replace(systems());
  CHECK(logged(city.path() + " is no database of kind city"));
  CHECK(scene.client().fetch("/", kJapanese).body == "Tokyo");
  const double refused = scene.node.metric("vignette_geo_refused_total", "city");
  CHECK(refused >= 2);
  city.replace(cities("Osaka", "Lund"));
  CHECK(city_becomes(scene, "Tokyo", "Osaka"));
  CHECK(scene.node.metric("vignette_geo_refused_total") == refused);
  const std::size_t lines =
      count(scene.node.log_text(), "going on with the one in use (Test-City, built 2023-11-14)");
  CHECK(static_cast<double>(lines) == refused);
}

TEST_CASE("A reload looks at other files, and takes databases away") {
  const TempFile first(cities("Tokyo", "Lund")), second(cities("Kyoto", "Lund"));
  const std::string told = "geo = { headers = true }";
  Scene scene(tell_city, told, trusting(city_line(first)));
  CHECK(scene.client().fetch("/", kJapanese).body == "Tokyo");
  scene.node.reload(proxy_config(scene.origin, told, trusting(city_line(second))));
  CHECK(city_becomes(scene, "Tokyo", "Kyoto"));
  first.replace(cities("Nara", "Lund"));
  second.replace(cities("Osaka", "Lund"));
  CHECK(city_becomes(scene, "Kyoto", "Osaka"));
  scene.node.reload(proxy_config(scene.origin, "", "[server]\ntrusted = [\"127.0.0.0/8\"]\n"));
  CHECK(city_becomes(scene, "Osaka", "-"));
  CHECK(scene.node.metric("vignette_geo_build_timestamp_seconds") == 0);
}

TEST_CASE("Files are looked at as often as the last reload says, and not at all with 0s") {
  const TempFile city(cities("Tokyo", "Lund"));
  const std::string told = "geo = { headers = true }";
  const auto polled = [&](const std::string& poll) {
    return "[server]\ntrusted = [\"127.0.0.0/8\"]\n[geo]\npoll = \"" + poll + "\"\n" + city_line(city);
  };
  Scene scene(tell_city, told, polled("0s"));
  CHECK(scene.client().fetch("/", kJapanese).body == "Tokyo");
  city.replace(cities("Kyoto", "Lund"));
  scene.node.reload(proxy_config(scene.origin, told, polled("1d")));  // finds it, as SIGHUP does
  CHECK(city_becomes(scene, "Tokyo", "Kyoto"));
  city.replace(cities("Osaka", "Lund"));
  scene.node.reload(proxy_config(scene.origin, told, polled("0s")));
  CHECK(city_becomes(scene, "Kyoto", "Osaka"));
  scene.node.reload(proxy_config(scene.origin, told, polled("100ms")));  // the day is not waited for
  city.replace(cities("Nara", "Lund"));
  CHECK(city_becomes(scene, "Osaka", "Nara"));
  CHECK(scene.node.metric("vignette_geo_replaced_total", "city") == 1);
}
