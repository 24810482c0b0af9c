#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "base/arena.h"
#include "proxy/policy/forwarded.h"

using namespace vignette;
using namespace vignette::proxy;

namespace {

struct Scene {
  http::RequestHead head;
  ForwardedFacts facts;
  Arena texts{64 * 1024};

  Scene() {
    facts.peer = *conf::parse_ip("10.0.0.1");
    facts.client = *conf::parse_ip("198.51.100.1");
    facts.scheme = "https";
    facts.authority = "www.example.com:8443";
    facts.port = 8443;
  }
  void add(std::string_view name, std::string_view value) { REQUIRE(head.fields.add(name, value)); }
  void prepare() { REQUIRE(prepare_forwarded(head, facts, texts)); }
  // Lines of a field, joined by " | ".
  std::string line(std::string_view name) const {
    std::string joined;
    for (const http::Field& field : head.fields) {
      if (field.name != name) continue;
      if (!joined.empty()) joined += " | ";
      joined += field.value;
    }
    return joined;
  }
};

}  // namespace

TEST_CASE("An untrusted client's forwarding claims are overwritten") {
  Scene scene;
  scene.add("x-forwarded-for", "6.6.6.6");
  scene.add("x-forwarded-for", "7.7.7.7");
  scene.add("x-forwarded-proto", "gopher");
  scene.add("x-forwarded-host", "evil.example");
  scene.add("x-forwarded-port", "1");
  scene.add("x-forwarded-prefix", "/evil");
  scene.add("x-forwarded-user", "root");
  scene.add("x-real-ip", "6.6.6.6");
  scene.add("forwarded", "for=6.6.6.6");
  scene.prepare();
  CHECK(scene.line("x-forwarded-for") == "10.0.0.1");
  CHECK(scene.line("x-forwarded-proto") == "https");
  CHECK(scene.line("x-forwarded-host") == "www.example.com:8443");
  CHECK(scene.line("x-forwarded-port") == "8443");
  CHECK(scene.line("x-real-ip") == "198.51.100.1");
  CHECK(scene.line("x-forwarded-prefix").empty());
  CHECK(scene.line("x-forwarded-user").empty());
  CHECK(scene.line("forwarded").empty());
}

TEST_CASE("Only the node says which certificate a client has shown, whoever is trusted") {
  const net::PeerCertificate shown{.subject = "CN=client", .fingerprint = std::string(64, 'a')};
  const net::PeerCertificate none;
  const net::PeerCertificate endless{.subject = std::string(5000, 's'), .fingerprint = std::string(64, 'b')};
  const auto lines = [](const net::PeerCertificate* certificate, bool trusted) {
    Scene scene;
    scene.facts.trusted = trusted;
    scene.facts.certificate = certificate;
    for (const char* name : {"x-client-cert-verify", "x-client-cert-subject", "x-client-cert-fingerprint",
                             "x-client-cert-serial"}) {
      scene.add(name, "forged");
    }
    scene.prepare();
    CHECK(scene.line("x-client-cert-serial").empty());
    return scene.line("x-client-cert-verify") + " " + scene.line("x-client-cert-subject") + " " +
           scene.line("x-client-cert-fingerprint");
  };
  for (const bool trusted : {false, true}) {
    CHECK(lines(nullptr, trusted) == "  ");
    CHECK(lines(&none, trusted) == "NONE  ");
    CHECK(lines(&shown, trusted) == "SUCCESS CN=client " + std::string(64, 'a'));
    CHECK(lines(&endless, trusted) == "SUCCESS  " + std::string(64, 'b'));
  }
}

TEST_CASE("A trusted hop's claims are kept and its address is added to the chain") {
  Scene scene;
  scene.facts.trusted = true;
  scene.add("x-forwarded-for", "198.51.100.1");
  scene.add("x-forwarded-for", "10.0.0.3 , 10.0.0.2");
  scene.add("x-forwarded-proto", "http");
  scene.add("x-forwarded-host", "shop.example");
  scene.add("x-forwarded-port", "80");
  scene.add("x-real-ip", "10.0.0.3");
  scene.prepare();
  CHECK(scene.line("x-forwarded-for") == "198.51.100.1, 10.0.0.3, 10.0.0.2, 10.0.0.1");
  CHECK(scene.line("x-forwarded-proto") == "http");
  CHECK(scene.line("x-forwarded-host") == "shop.example");
  CHECK(scene.line("x-forwarded-port") == "80");
  CHECK(scene.line("x-real-ip") == "198.51.100.1");
}

TEST_CASE("Via and CDN-Loop grow by one element that names us and the client's protocol") {
  Scene scene;
  scene.add("via", "1.0 fred, 1.1 p.example");
  scene.add("via", "2 cdn");
  scene.add("cdn-loop", "other; id=\"a,b\"");
  scene.prepare();
  CHECK(scene.line("via") == "1.0 fred, 1.1 p.example, 2 cdn, 1.1 vignette");
  CHECK(scene.line("cdn-loop") == "other; id=\"a,b\", vignette");

  Scene old;
  old.head.version = http::Version::http_1_0;
  old.prepare();
  CHECK(old.line("via") == "1.0 vignette");
  CHECK(old.line("cdn-loop") == "vignette");

  Scene second;
  second.head.version = http::Version::http_2;
  second.prepare();
  CHECK(second.line("via") == "2 vignette");
}

TEST_CASE("What belongs to the client's connection does not reach the origin") {
  Scene scene;
  scene.add("host", "www.example.com");
  scene.add("connection", "keep-alive, X-Hop");
  scene.add("keep-alive", "timeout=5");
  scene.add("x-hop", "1");
  scene.add("te", "trailers");
  scene.add("transfer-encoding", "chunked");
  scene.add("expect", "100-continue");
  scene.add("upgrade", "h2c");
  scene.add("http2-settings", "AAA");
  scene.add("proxy-authorization", "Basic Zm9v");
  scene.add("cookie", "a=1");
  scene.add("authorization", "Bearer x");
  scene.add("x-app", "stays");
  scene.prepare();
  for (const char* gone : {"host", "connection", "keep-alive", "x-hop", "te", "transfer-encoding", "expect",
                           "upgrade", "http2-settings", "proxy-authorization"}) {
    INFO(gone);
    CHECK(scene.line(gone).empty());
  }
  CHECK(scene.line("cookie") == "a=1");
  CHECK(scene.line("authorization") == "Bearer x");
  CHECK(scene.line("x-app") == "stays");
}

TEST_CASE("A request whose chain of hops has no room must not go on without it") {
  Scene scene;
  Arena tiny(16);
  scene.facts.trusted = true;
  scene.add("x-forwarded-for", "198.51.100.1, 198.51.100.2");
  CHECK_FALSE(prepare_forwarded(scene.head, scene.facts, tiny));
}

TEST_CASE("A list of fields that has room for all of ours but the last must not go on either") {
  constexpr std::size_t kOurs = 7;
  for (const std::size_t theirs :
       {http::FieldList::kCapacity - kOurs, http::FieldList::kCapacity - kOurs + 1}) {
    Scene scene;
    for (std::size_t i = 0; i < theirs; ++i) scene.add("x-app", "a");
    CHECK(prepare_forwarded(scene.head, scene.facts, scene.texts) ==
          (theirs + kOurs <= http::FieldList::kCapacity));
  }
}

TEST_CASE("A request that carries our own CDN-Loop element has been here before") {
  auto loops = [](std::string_view value) {
    http::FieldList fields;
    fields.add(http::FieldId::cdn_loop, value);
    return is_loop(fields);
  };
  CHECK(loops("vignette"));
  CHECK(loops("other, Vignette"));
  CHECK(loops("other; a=b , vignette ; id=7"));
  CHECK_FALSE(loops("vignette2"));
  CHECK_FALSE(loops("other; by=vignette"));
  CHECK_FALSE(loops("\"x, vignette\""));
  CHECK_FALSE(is_loop(http::FieldList()));
}
