// What the node adds, takes away and decides by itself: forwarding fields, response fields, redirects,
// addresses, error pages, the access log.
#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>

#include <string>

#include "tests/component/scene.h"

using namespace vignette::test;
using namespace std::string_literals;

TEST_CASE("An origin learns who asks, and a client's own claims are overwritten (row 29)") {
  Scene scene(always("", "ok"));
  RawClient client = scene.client();
  client.fetch("/",
               "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Real-IP: "
               "6.6.6.6\r\n"
               "Forwarded: for=6.6.6.6\r\nVia: 1.1 other\r\n");
  OriginCall call = scene.origin.log().back();
  CHECK(call.field("x-forwarded-for") == "127.0.0.1");
  CHECK(call.field("x-forwarded-proto") == "http");
  CHECK(call.field("x-forwarded-host") == "test.local");
  CHECK(call.field("x-forwarded-port") == std::to_string(scene.node.port()));
  CHECK(call.field("x-real-ip") == "127.0.0.1");
  CHECK(call.field("forwarded").empty());
  CHECK(call.field("via") == "1.1 other, 1.1 vignette");
  CHECK(call.field("cdn-loop") == "vignette");
  CHECK(call.field("host") == "test.local");
}

TEST_CASE("A trusted hop's word counts (row 29)") {
  Scene scene(always("", "ok"), "deny = [\"198.51.100.0/24\"]", "[server]\ntrusted = [\"127.0.0.0/8\"]\n");
  RawClient client = scene.client();
  CHECK(client.fetch("/", "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n").status == 200);
  OriginCall call = scene.origin.log().back();
  CHECK(call.field("x-forwarded-for") == "203.0.113.7, 127.0.0.1");
  CHECK(call.field("x-forwarded-proto") == "https");
  CHECK(call.field("x-real-ip") == "203.0.113.7");
  CHECK(client.fetch("/", "X-Forwarded-For: 198.51.100.7\r\n").status == 403);
  CHECK(client.fetch("/", "X-Forwarded-For: 198.51.100.7, 203.0.113.7\r\n").status == 200);
}

TEST_CASE("Addresses are denied and allowed, and the refusal is a page") {
  Scene denied(always("", "ok"), "deny = [\"127.0.0.1\"]");
  RawClient client = denied.client();
  RawResponse answer = client.fetch("/");
  CHECK(answer.status == 403);
  CHECK(answer.field("content-type") == "text/html; charset=utf-8");
  CHECK(answer.body.find("403 Forbidden") != std::string::npos);
  CHECK(client.fetch("/").status == 403);
  CHECK(denied.origin.calls() == 0);
  CHECK(denied.node.metric("vignette_refusals_total", "address_denied") == 2);

  Scene allowed(always("", "ok"), "allow = [\"127.0.0.0/8\"]");
  CHECK(allowed.client().fetch("/").status == 200);
  Scene others(always("", "ok"), "allow = [\"10.0.0.0/8\"]");
  CHECK(others.client().fetch("/").status == 403);
}

TEST_CASE("Response fields are set and removed, on passed, stored and revalidated answers alike") {
  for (const char* cache : {"cache = \"on\"\n", "cache = \"off\"\n"}) {
    Scene scene(always("Server: app/1\r\nX-Powered-By: magic\r\nX-Kept: 1\r\nX-Frame-Options: ALLOW\r\n"
                       "ETag: \"v1\"\r\nCache-Control: max-age=60\r\n",
                       "ok"),
                std::string(cache) +
                    "headers = { set = { X-Frame-Options = \"DENY\", X-New = \"n\" }, remove = [\"Server\", "
                    "\"x-powered-by\"] }");
    RawClient client = scene.client();
    for (int i = 0; i < 3; ++i) {
      INFO(cache << i);
      RawResponse answer = client.fetch("/", i == 2 ? "If-None-Match: \"v1\"\r\n" : "");
      CHECK(answer.status == (i == 2 && scene.origin.calls() == 1 ? 304 : 200));
      CHECK(answer.field("server").empty());
      CHECK(answer.field("x-powered-by").empty());
      CHECK(answer.field("x-frame-options") == "DENY");
      CHECK(answer.field("x-new") == "n");
      if (answer.status == 200) CHECK(answer.field("x-kept") == "1");
    }
  }
}

TEST_CASE("A route redirects") {
  Scene scene(always("", "ok"));
  TestNode node(
      "[[listener]]\naddress = \"127.0.0.1:0\"\n[[site]]\nhosts = [\"*\"]\n"
      "[[site.route]]\npath = \"/old/*\"\nredirect = { to = \"$scheme://$host/new/$rest\", status = 308 }\n"
      "[[site.route]]\npath = \"/moved\"\nredirect = \"https://other.example/\"\n");
  RawClient client(node.port());
  RawResponse answer = client.fetch("/old/a%20b/c?d=e");
  CHECK(answer.status == 308);
  CHECK(answer.field("location") == "http://test.local/new/a%20b/c?d=e");
  answer = client.fetch("/moved");
  CHECK(answer.status == 301);
  CHECK(answer.field("location") == "https://other.example/");
  CHECK(client.fetch("/nothing").status == 404);
}

TEST_CASE("A listener that only redirects answers nothing else") {
  ScriptedOrigin origin(always("", "ok"));
  TestNode node(
      "[[listener]]\naddress = \"127.0.0.1:0\"\nredirect = \"https:8443\"\n"
      "[[listener]]\naddress = \"127.0.0.1:0\"\nredirect = \"https\"\n"
      "[origin.app]\nservers = [\"" +
      origin.address() +
      "\"]\n"
      "[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/*\"\norigin = \"app\"\n");
  RawClient first(node.port(0));
  RawResponse answer = first.fetch("/a?b=c");
  CHECK(answer.status == 301);
  CHECK(answer.field("location") == "https://test.local:8443/a?b=c");
  first.send("GET http://test.local/a?b=c HTTP/1.1\r\nHost: test.local\r\n\r\n");
  CHECK(first.read().field("location") == "https://test.local:8443/a?b=c");
  RawClient second(node.port(1));
  second.send("POST /a HTTP/1.1\r\nHost: test.local:8080\r\nContent-Length: 0\r\n\r\n");
  answer = second.read();
  CHECK(answer.status == 308);
  CHECK(answer.field("location") == "https://test.local/a");
  CHECK(origin.calls() == 0);
}

TEST_CASE("A path, a method and a host that nobody serves have answers of their own") {
  ScriptedOrigin origin(always("", "ok"));
  TestNode node(
      "[[listener]]\naddress = \"127.0.0.1:0\"\n[origin.app]\nservers = [\"" + origin.address() +
      "\"]\n"
      "[[site]]\nhosts = [\"test.local\"]\n[[site.route]]\npath = \"/a/*\"\nmethods = [\"GET\", \"POST\"]\n"
      "origin = \"app\"\n");
  RawClient client(node.port());
  CHECK(client.fetch("/b").status == 404);
  client.send("DELETE /a/x HTTP/1.1\r\nHost: test.local\r\n\r\n");
  RawResponse answer = client.read();
  CHECK(answer.status == 405);
  CHECK(answer.field("allow") == "GET, POST");
  client.send("TRACE /a/x HTTP/1.1\r\nHost: test.local\r\n\r\n");
  CHECK(client.read().status == 405);
  client.send("GET /a/x HTTP/1.1\r\nHost: other.local\r\n\r\n");
  CHECK(client.read().status == 404);
  CHECK(origin.calls() == 0);
  CHECK(client.fetch("/a/x").status == 200);
}

TEST_CASE("An error page repeats nothing of the request") {
  Scene scene(always("", "ok"), "deny = [\"127.0.0.1\"]");
  RawResponse answer = scene.client().fetch("/%3Cscript%3Ealert(1)%3C/script%3E");
  CHECK(answer.status == 403);
  CHECK(answer.body.find("script") == std::string::npos);
}

TEST_CASE("The access log has one JSON line a request, with the reason of every refusal") {
  Scene scene(always("Cache-Control: max-age=60\r\n", "hello"), "deny = [\"198.51.100.1\"]",
              "[server]\ntrusted = [\"127.0.0.1\"]\n", {.workers = 1, .imaging = false, .access_log = true});
  RawClient client = scene.client();
  client.fetch("/a?b=%22c%22", "User-Agent: quote\"back\\slash\r\nReferer: http://r/\r\n");
  client.fetch("/a?b=%22c%22");
  client.fetch("/denied", "X-Forwarded-For: 198.51.100.1\r\n");
  client.send("POST /up HTTP/1.1\r\nHost: test.local\r\nContent-Length: 3\r\n\r\nabc");
  client.read();
  client.send("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n");
  client.read();

  std::vector<nlohmann::json> log;
  for (const std::string& line : scene.node.access_log()) log.push_back(nlohmann::json::parse(line));
  REQUIRE(log.size() == 5);
  CHECK(log[0]["method"] == "GET");
  CHECK(log[0]["target"] == "/a?b=%22c%22");
  CHECK(log[0]["host"] == "test.local");
  CHECK(log[0]["status"] == 200);
  CHECK(log[0]["client"] == "127.0.0.1");
  CHECK(log[0]["cache"] == "miss");
  CHECK(log[0]["origin"] == "app");
  CHECK(log[0]["route"] == "*/*");
  CHECK(log[0]["user_agent"] == "quote\"back\\slash");
  CHECK(log[0]["referer"] == "http://r/");
  CHECK(log[0]["ms"].is_number());
  CHECK(log[0]["sent"].get<int>() > 5);
  CHECK(log[1]["cache"] == "hit");
  CHECK_FALSE(log[1].contains("origin"));
  CHECK(log[2]["status"] == 403);
  CHECK(log[2]["client"] == "198.51.100.1");
  CHECK(log[2]["reason"] == "address_denied");
  CHECK(log[3]["method"] == "POST");
  CHECK(log[3]["received"] == 3);
  CHECK(log[3]["server"] == scene.origin.address());
  CHECK(log[3]["attempts"] == 1);
  CHECK(log[4]["status"] == 400);
  CHECK(log[4]["reason"] == "space_before_colon");
}

TEST_CASE("A request whose chain of hops has no room is refused, and no origin sees it without the chain") {
  Scene scene(always("Cache-Control: max-age=60\r\n", "ok"), "",
              "[server]\ntrusted = [\"127.0.0.0/8\"]\n[limits]\nheader = \"256KiB\"\n");
  const std::string chain = "X-Forwarded-For: " + std::string(70'000, 'x') + "\r\n";
  CHECK(scene.client().fetch("/a", chain).status == 431);
  RawClient client = scene.client();
  client.send("POST /a HTTP/1.1\r\nHost: test.local\r\nContent-Length: 0\r\n" + chain + "\r\n");
  CHECK(client.read().status == 431);
  CHECK(scene.origin.calls() == 0);
  CHECK(scene.client().fetch("/a").status == 200);
  // What is stored needs no origin.
  CHECK(scene.client().fetch("/a", chain).status == 200);
}
