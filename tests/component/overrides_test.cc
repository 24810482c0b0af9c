// What a route says of its cache: bounds of lifetimes, what tells objects apart, whether clients are obeyed.
#include <catch2/catch.hpp>

#include <string>

#include "tests/component/scene.h"

using namespace vignette::test;
using namespace std::string_literals;

namespace {

bool has(const RawResponse& answer, std::string_view words) {
  return answer.field("cache-status").find(words) != std::string::npos;
}

// Answers with the target that it was asked for.
ScriptedOrigin::Script echo(std::string lines) {
  return [lines](const OriginCall& call, const ScriptedOrigin::Send& send) {
    return send(ScriptedOrigin::answer(200, lines, call.target));
  };
}

}  // namespace

TEST_CASE("A route bounds the lifetimes of its origin") {
  Scene scene(
      [](const OriginCall& call, const ScriptedOrigin::Send& send) {
        const std::string lines = call.target == "/short"  ? "Cache-Control: max-age=0\r\n"
                                  : call.target == "/long" ? "Cache-Control: max-age=9999\r\n"
                                  : call.target == "/no"   ? "Cache-Control: no-store, max-age=0\r\n"
                                                           : "";
        return send(ScriptedOrigin::answer(call.target == "/missing" ? 404 : 200, lines, "x"));
      },
      "cache = { min_ttl = \"500s\", max_ttl = \"700s\", negative_ttl = \"30s\" }");
  RawClient client = scene.client();
  for (const auto& [target, status] :
       std::vector<std::pair<std::string, std::string>>{{"/short", "hit; ttl="},
                                                        {"/long", "hit; ttl="},
                                                        {"/no", "detail=no-store"},
                                                        {"/missing", "hit; ttl="},
                                                        {"/silent", "detail=no-freshness"}}) {
    INFO(target);
    client.fetch(target);
    const RawResponse second = client.fetch(target);
    INFO(second.field("cache-status"));
    CHECK(has(second, status));
  }
  const auto ttl = [&](const char* target) {
    const std::string status = client.fetch(target).field("cache-status");
    return std::stoi(status.substr(status.find("ttl=") + 4));
  };
  CHECK(ttl("/short") <= 500);
  CHECK(ttl("/short") > 400);
  CHECK(ttl("/long") <= 700);
  CHECK(ttl("/long") > 600);
  CHECK(ttl("/missing") <= 30);
}

TEST_CASE("Listed query parameters are the key, in any order, and all that the origin sees") {
  Scene scene(echo("Cache-Control: max-age=60\r\n"), "cache = { key = { query = [\"page\", \"f_*\"] } }");
  RawClient client = scene.client();
  CHECK(client.fetch("/a?page=2&utm=1&f_b=1&f_a=2").body == "/a?f_a=2&f_b=1&page=2");
  for (const char* same : {"/a?f_a=2&f_b=1&page=2", "/a?x&page=2&f_b=1&&f_a=2", "/a?%70age=2&f_a=2&f_b=1"}) {
    INFO(same);
    CHECK(has(client.fetch(same), "Vignette; hit"));
  }
  CHECK(has(client.fetch("/a?page=3&f_b=1&f_a=2"), "uri-miss"));
  CHECK(client.fetch("/a?utm=1").body == "/a");
  CHECK(has(client.fetch("/a"), "Vignette; hit"));
  CHECK(client.fetch("/a?page=1&page=2").body == "/a?page=1&page=2");
  CHECK(client.fetch("/a?page=2&page=1").body == "/a?page=2&page=1");
}

TEST_CASE(
    "Ignored query parameters are neither in the key nor sent, and none at all when the route says so") {
  Scene ignoring(echo("Cache-Control: max-age=60\r\n"),
                 "cache = { key = { ignore_query = [\"utm_*\", \"fbclid\"] } }");
  RawClient client = ignoring.client();
  CHECK(client.fetch("/a?b=1&utm_source=x&a=2").body == "/a?a=2&b=1");
  CHECK(has(client.fetch("/a?a=2&fbclid=9&b=1"), "Vignette; hit"));
  CHECK(has(client.fetch("/a?a=2&b=1&utm=1"), "uri-miss"));

  Scene none(echo("Cache-Control: max-age=60\r\n"), "cache = { key = { query = \"none\" } }");
  client = none.client();
  CHECK(client.fetch("/a?x=1").body == "/a");
  CHECK(has(client.fetch("/a?x=2"), "Vignette; hit"));
  client.send("POST /a?x=3 HTTP/1.1\r\nHost: test.local\r\nContent-Length: 0\r\n\r\n");
  CHECK(client.read().body == "/a?x=3");
}

TEST_CASE("Request fields and cookies of the key tell objects apart, others do not") {
  Scene scene(
      [](const OriginCall& call, const ScriptedOrigin::Send& send) {
        return send(ScriptedOrigin::answer(200, "Cache-Control: max-age=60\r\n",
                                           call.field("x-device") + "/" + call.field("cookie")));
      },
      "cache = { key = { headers = [\"X-Device\"], cookies = [\"lang\"] } }");
  RawClient client = scene.client();
  CHECK(client.fetch("/a", "X-Device: phone\r\nCookie: a=1; lang=de\r\n").body == "phone/a=1; lang=de");
  CHECK(has(client.fetch("/a", "X-Device: phone\r\nCookie: lang=de; b=2\r\n"), "Vignette; hit"));
  CHECK(has(client.fetch("/a", "X-Device: phone\r\nCookie: lang=en\r\n"), "uri-miss"));
  CHECK(has(client.fetch("/a", "X-Device: desk\r\nCookie: lang=de\r\n"), "uri-miss"));
  CHECK(has(client.fetch("/a", "X-Device: phone\r\n"), "uri-miss"));
  CHECK(has(client.fetch("/a", "X-Device: phone\r\nCookie: language=de\r\n"), "Vignette; hit"));
  // One cookie that says what two would say is not those two.
  CHECK(has(client.fetch("/a", "X-Device: phone\r\nCookie: lang=de; lang=en\r\n"), "uri-miss"));
}

TEST_CASE("A field of the key that Vary names, too, makes no second variant") {
  Scene scene(always("Cache-Control: max-age=60\r\nVary: X-Device\r\n", "x"),
              "cache = { key = { headers = [\"X-Device\"] } }");
  RawClient client = scene.client();
  client.fetch("/a", "X-Device: phone\r\n");
  CHECK(has(client.fetch("/a", "X-Device: phone\r\n"), "Vignette; hit"));
  CHECK(has(client.fetch("/a", "X-Device: desk\r\n"), "uri-miss"));
  CHECK(scene.node.store().stats().objects == 2);
}

TEST_CASE("A key that would grow beyond its limit passes through, and says so") {
  Scene scene(always("Cache-Control: max-age=60\r\n", "x"), "cache = { key = { headers = [\"X-Device\"] } }");
  RawClient client = scene.client();
  const std::string line = "X-Device: " + std::string(5000, 'a') + "\r\n";
  for (int i = 1; i <= 2; ++i) {
    CHECK(has(client.fetch("/a", line), "fwd=bypass; fwd-status=200; detail=vary-limit"));
    CHECK(scene.origin.calls() == i);
  }
}

TEST_CASE("What clients ask of the cache is passed over unless the route obeys it") {
  const auto script = always("Cache-Control: max-age=60\r\nETag: \"a\"\r\n", "x");
  Scene firm(script);
  RawClient client = firm.client();
  client.fetch("/a");
  for (const char* wish : {"no-cache", "no-store", "max-age=0", "min-fresh=100"}) {
    CHECK(has(client.fetch("/a", "Cache-Control: "s + wish + "\r\n"), "Vignette; hit"));
  }
  CHECK(has(client.fetch("/a", "Pragma: no-cache\r\n"), "Vignette; hit"));
  CHECK(client.fetch("/b", "Cache-Control: only-if-cached\r\n").status == 200);
  CHECK(firm.origin.calls() == 2);

  Scene obeying(script, "cache = { obey_client = true }");
  client = obeying.client();
  client.fetch("/a");
  int calls = 1;
  for (const char* wish : {"Cache-Control: no-cache", "Cache-Control: max-age=0",
                           "Cache-Control: min-fresh=100", "Pragma: no-cache"}) {
    INFO(wish);
    CHECK(has(client.fetch("/a", wish + "\r\n"s), "fwd=request"));
    CHECK(obeying.origin.calls() == ++calls);
  }
  CHECK(has(client.fetch("/a", "Cache-Control: max-age=50\r\n"), "Vignette; hit"));
  CHECK(has(client.fetch("/a", "Cache-Control: only-if-cached\r\n"), "Vignette; hit"));
  const RawResponse none = client.fetch("/b", "Cache-Control: only-if-cached\r\n");
  CHECK(none.status == 504);
  CHECK(has(none, "detail=only_if_cached"));
  CHECK(has(client.fetch("/c", "Cache-Control: no-store\r\n"), "detail=request-no-store"));
  CHECK(has(client.fetch("/c"), "uri-miss"));
  CHECK(obeying.origin.calls() == calls + 2);
}

TEST_CASE("A client that takes stale answers gets them where the route obeys it") {
  Scene scene(always("Cache-Control: max-age=10\r\nAge: 30\r\nETag: \"a\"\r\n", "x"),
              "cache = { obey_client = true }");
  RawClient client = scene.client();
  client.fetch("/a");
  CHECK(has(client.fetch("/a", "Cache-Control: max-stale=100\r\n"), "Vignette; hit; ttl=-"));
  CHECK(has(client.fetch("/a", "Cache-Control: max-stale\r\n"), "Vignette; hit; ttl=-"));
  CHECK(has(client.fetch("/a", "Cache-Control: max-stale=1\r\n"), "fwd=stale"));
}

TEST_CASE("Cookies are stored where the route says so") {
  Scene scene(always("Cache-Control: max-age=60\r\nSet-Cookie: a=b\r\n", "x"),
              "cache = { store_set_cookie = true }");
  RawClient client = scene.client();
  client.fetch("/a");
  const RawResponse hit = client.fetch("/a");
  CHECK(has(hit, "Vignette; hit"));
  CHECK(hit.field("set-cookie") == "a=b");
}

TEST_CASE("A route serves stale answers for as long as it says while it fetches again") {
  Gate gate;
  Scene scene(
      [&](const OriginCall& call, const ScriptedOrigin::Send& send) {
        if (call.number > 1) gate.wait();
        return send(ScriptedOrigin::answer(200, "Cache-Control: max-age=10\r\nAge: 30\r\n",
                                           std::to_string(call.number)));
      },
      "cache = { stale_while_revalidate = \"1h\" }");
  RawClient client = scene.client();
  client.fetch("/a");
  const RawResponse stale = client.fetch("/a");
  CHECK(stale.body == "1");
  CHECK(has(stale, "detail=stale-while-revalidate"));
  gate.open();
}
