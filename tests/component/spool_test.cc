// The spool's disk when it fails, and what is no failure of it.
#include <catch2/catch.hpp>

#include <filesystem>
#include <string>
#include <string_view>

#include "proxy/client/spool.h"
#include "tests/component/scene.h"

using namespace vignette;
using namespace vignette::test;

namespace {

constexpr std::size_t kLarge = 900'000;  // goes to disk

std::string put_head(std::size_t size) {
  return "PUT /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n";
}

std::size_t count_of(std::string_view words, std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(words, at)) != std::string_view::npos; at += words.size()) ++count;
  return count;
}

}  // namespace

TEST_CASE("A client that goes while its body is being written is no failure of the disk") {
  Scene scene(always("", "ok"));
  proxy::Spool& spool = scene.node.spool();
  Gate gate;
  // Nothing is written until the gate opens.
  for (int thread = 0; thread < 2; ++thread) REQUIRE(spool.pool().try_submit([&gate] { gate.wait(); }));
  RawClient client = scene.client();
  client.send(put_head(kLarge) + pattern(kLarge / 2));
  const bool writes = becomes([&] { return spool.disk().used() > 0; });
  client.reset();
  const bool ended = becomes([&] { return scene.node.metric("vignette_connections_open") == 0; });
  gate.open();
  REQUIRE(writes);
  CHECK(ended);
  CHECK(scene.node.metric("vignette_bodies_not_spooled_total") == 0);
  CHECK(count_of("spool", scene.node.log_text()) == 0);
  CHECK(scene.origin.connections() == 0);
  CHECK(becomes([&] { return spool.open_files() == 0 && spool.disk().used() == 0; }));
}

TEST_CASE("A disk that fails is one warning with its reason, however many bodies it fails") {
  const TempDir folder;
  folder.write("spool/x", "");
  const std::string place = folder.path() + "/spool";
  Scene scene(always("", "ok"), "", "[spool]\npath = \"" + place + "\"\n");
  std::filesystem::remove_all(place);
  RawClient client = scene.client();
  for (int i = 0; i < 3; ++i) {
    client.send(put_head(kLarge) + pattern(kLarge));
    CHECK(client.read().status == 200);
  }
  const std::string log = scene.node.log_text();
  CHECK(count_of("warn", log) == 1);
  CHECK(count_of("spool " + place + ": No such file or directory; request bodies are streamed", log) == 1);
}

TEST_CASE("A spool's folder is tried by making a file there, if files are to be made") {
  const TempDir folder;
  CHECK(proxy::try_spool({.path = folder.path()}));
  CHECK(std::filesystem::is_empty(folder.path()));
  const std::string missing = folder.path() + "/none";
  const auto tried = proxy::try_spool({.path = missing});
  REQUIRE_FALSE(tried);
  CHECK(explain(tried.error()) == "No such file or directory");
  CHECK(proxy::try_spool({.path = missing, .size = 0}));
  CHECK_FALSE(proxy::try_spool({.path = "/proc"}));
}
