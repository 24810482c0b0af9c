// The cache as clients see it: hits, reasons, conditions, ranges, variants, stale answers. Objects that must
// be stale at once arrive with an Age beyond their lifetime, so no test waits for time to pass.
#include <catch2/catch.hpp>

#include <atomic>
#include <string>

#include "tests/component/scene.h"

using namespace vignette::test;
using namespace std::string_literals;

namespace {

constexpr const char* kDay =
    "Cache-Control: max-age=86400\r\nETag: \"v1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
const std::string kDigits = "0123456789";

bool has(const RawResponse& answer, std::string_view words) {
  return answer.field("cache-status").find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("The first request is a miss, the second a hit, and the origin is asked once") {
  Scene scene(always(kDay, kDigits));
  RawClient client = scene.client();
  RawResponse miss = client.fetch("/a");
  CHECK(miss.body == kDigits);
  CHECK(has(miss, "fwd=uri-miss"));
  CHECK(has(miss, "stored"));
  CHECK_FALSE(has(miss, "hit"));
  RawResponse hit = client.fetch("/a");
  CHECK(hit.body == kDigits);
  CHECK(hit.field("cache-status").starts_with("Vignette; hit"));
  CHECK_FALSE(has(hit, "fwd="));
  CHECK(hit.field("etag") == "\"v1\"");
  CHECK(hit.field("content-length") == "10");
  CHECK_FALSE(hit.field("age").empty());
  CHECK(scene.origin.calls() == 1);
  CHECK(scene.node.metric("vignette_cache_requests_total", "outcome=\"hit\"") == 1);
  CHECK(scene.node.metric("vignette_cache_requests_total", "outcome=\"miss\"") == 1);
}

TEST_CASE("Age counts from what the origin said") {
  Scene scene(always("Cache-Control: max-age=86400\r\nAge: 100\r\n", "x"));
  RawClient client = scene.client();
  client.fetch("/a");
  RawResponse hit = client.fetch("/a");
  CHECK(std::stoi(hit.field("age")) >= 100);
  CHECK(std::stoi(hit.field("age")) < 200);
  CHECK(has(hit, "ttl=86"));
}

TEST_CASE("Hosts, queries and paths are told apart, escapes of one path are not") {
  Scene scene(always(kDay, "x"));
  RawClient client = scene.client();
  client.fetch("/a~b");
  CHECK(has(client.fetch("/a%7Eb"), "hit"));
  CHECK(has(client.fetch("/x/../a~b"), "hit"));
  CHECK(has(client.fetch("/a~b?"), "uri-miss"));
  CHECK(has(client.fetch("/a~b?c"), "uri-miss"));
  CHECK(has(client.fetch("/A~b"), "uri-miss"));
  client.send("GET /a~b HTTP/1.1\r\nHost: other.local\r\n\r\n");
  CHECK(has(client.read(), "uri-miss"));
}

TEST_CASE("What may not be stored is fetched each time, and says why") {
  for (const auto& [lines, reason] : std::vector<std::pair<std::string, std::string>>{
           {"Cache-Control: no-store\r\n", "no-store"},
           {"Cache-Control: private, max-age=60\r\n", "private"},
           {"Cache-Control: max-age=60\r\nSet-Cookie: a=1\r\n", "set-cookie"},
           {"Cache-Control: max-age=60\r\nVary: *\r\n", "vary"},
           {"", "no-freshness"}}) {
    INFO(lines);
    Scene scene(always(lines, "x"));
    RawClient client = scene.client();
    for (int i = 1; i <= 3; ++i) {
      RawResponse answer = client.fetch("/a");
      CHECK(answer.body == "x");
      CHECK(has(answer, "fwd="));
      CHECK_FALSE(has(answer, "stored"));
      std::string status = answer.field("cache-status");
      std::replace(status.begin(), status.end(), '_', '-');
      INFO(status);
      CHECK(status.find(reason) != std::string::npos);
      CHECK(scene.origin.calls() == i);
    }
  }
}

TEST_CASE("An answer to a request with Authorization is shared only when the origin says so") {
  Scene scene([](const OriginCall& call, const ScriptedOrigin::Send& send) {
    std::string lines =
        call.target == "/shared" ? "Cache-Control: public, max-age=60\r\n" : "Cache-Control: max-age=60\r\n";
    return send(ScriptedOrigin::answer(200, lines, call.field("authorization")));
  });
  RawClient client = scene.client();
  CHECK(client.fetch("/own", "Authorization: Basic YQ==\r\n").body == "Basic YQ==");
  CHECK(client.fetch("/own", "Authorization: Basic Yg==\r\n").body == "Basic Yg==");
  CHECK(client.fetch("/own").body == "");
  CHECK(client.fetch("/shared", "Authorization: Basic YQ==\r\n").body == "Basic YQ==");
  CHECK(client.fetch("/shared", "Authorization: Basic Yg==\r\n").body == "Basic YQ==");
}

TEST_CASE("A route with its cache off stores nothing") {
  Scene scene(always(kDay, "x"), "cache = \"off\"");
  RawClient client = scene.client();
  client.fetch("/a");
  RawResponse answer = client.fetch("/a");
  CHECK(has(answer, "fwd=bypass"));
  CHECK(scene.origin.calls() == 2);
}

TEST_CASE("Other methods go to the origin") {
  Scene scene(always(kDay, "x"), "cache = \"on\"");
  RawClient client = scene.client();
  client.fetch("/a");
  for (const char* method : {"POST", "PUT", "PATCH"}) {
    client.send(std::string(method) + " /b HTTP/1.1\r\nHost: test.local\r\nContent-Length: 0\r\n\r\n");
    CHECK(has(client.read(), "fwd=method"));
  }
  CHECK(scene.origin.calls() == 4);
}

TEST_CASE("Variants of one URL are kept apart by what Vary names") {
  Scene scene([](const OriginCall& call, const ScriptedOrigin::Send& send) {
    return send(ScriptedOrigin::answer(200, "Cache-Control: max-age=60\r\nVary: Accept-Language, X-Mode\r\n",
                                       call.field("accept-language") + "/" + call.field("x-mode")));
  });
  RawClient client = scene.client();
  const char* de = "Accept-Language: de\r\nX-Mode: 1\r\n";
  const char* en = "Accept-Language: en\r\nX-Mode: 1\r\n";
  CHECK(client.fetch("/a", de).body == "de/1");
  RawResponse other = client.fetch("/a", en);
  CHECK(other.body == "en/1");
  CHECK(has(other, "fwd=vary-miss"));
  CHECK(client.fetch("/a").body == "/");
  CHECK(scene.origin.calls() == 3);
  CHECK(client.fetch("/a", de).body == "de/1");
  RawResponse again = client.fetch("/a", en);
  CHECK(again.body == "en/1");
  CHECK(has(again, "hit"));
  CHECK(client.fetch("/a").body == "/");
  CHECK(scene.origin.calls() == 3);
}

TEST_CASE("What apps make links of tells objects apart: the port, and the host that a trusted hop tells") {
  Scene scene(
      [](const OriginCall& call, const ScriptedOrigin::Send& send) {
        return send(ScriptedOrigin::answer(200, "Cache-Control: max-age=60\r\n",
                                           call.field("host") + " " + call.field("x-forwarded-host")));
      },
      "", "[server]\ntrusted = [\"127.0.0.1/32\"]\n");
  RawClient client = scene.client();
  auto body = [&](std::string_view host, std::string_view lines) {
    client.send("GET /a HTTP/1.1\r\nHost: " + std::string(host) + "\r\n" + std::string(lines) + "\r\n");
    return client.read().body;
  };
  CHECK(body("test.local", "") == "test.local test.local");
  CHECK(body("test.local:443", "") == "test.local:443 test.local:443");
  CHECK(body("test.local", "X-Forwarded-Host: evil.example\r\n") == "test.local evil.example");
  CHECK(body("test.local", "X-Forwarded-Host: test.local\r\n") == "test.local test.local");
  CHECK(scene.origin.calls() == 3);
}

TEST_CASE("A client cannot choose another country's variant") {
  Scene scene(always("Cache-Control: max-age=60\r\nVary: CloudFront-Viewer-Country\r\n", "0123456789"));
  RawClient client = scene.client();
  CHECK(has(client.fetch("/a", "CloudFront-Viewer-Country: DE\r\n"), "stored"));
  CHECK(has(client.fetch("/a", "CloudFront-Viewer-Country: FR\r\n"), "hit"));
  CHECK(has(client.fetch("/a"), "hit"));
  CHECK(scene.origin.calls() == 1);
}

TEST_CASE("A client cannot choose the variant of those who have shown a certificate") {
  Scene scene(always("Cache-Control: max-age=60\r\nVary: X-Client-Cert-Verify\r\n", "0123456789"),
              "cache.key = { headers = [\"X-Client-Cert-Subject\"] }");
  RawClient client = scene.client();
  CHECK(has(client.fetch("/a"), "stored"));
  CHECK(has(client.fetch("/a", "X-Client-Cert-Verify: SUCCESS\r\n"), "hit"));
  CHECK(has(client.fetch("/a", "X-Client-Cert-Subject: CN=admin\r\n"), "hit"));
  CHECK(client.fetch("/a", "Connection: X-Client-Cert-Verify\r\n").status == 400);
  CHECK(scene.origin.calls() == 1);
}

TEST_CASE("Conditions are answered from what is stored") {
  Scene scene(always(kDay, kDigits));
  RawClient client = scene.client();
  client.fetch("/a");
  for (const char* line : {"If-None-Match: \"v1\"\r\n", "If-None-Match: \"x\", W/\"v1\"\r\n",
                           "If-None-Match: *\r\n", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
                           "If-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT\r\n"}) {
    INFO(line);
    RawResponse answer = client.fetch("/a", line);
    CHECK(answer.status == 304);
    CHECK(answer.field("etag") == "\"v1\"");
    CHECK(answer.field("content-length").empty());
  }
  for (const char* line :
       {"If-None-Match: \"v2\"\r\n", "If-Modified-Since: Sat, 05 Nov 1994 08:49:37 GMT\r\n",
        "If-None-Match: \"v2\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "If-Match: \"v1\"\r\n", "If-Modified-Since: nonsense\r\n"}) {
    INFO(line);
    CHECK(client.fetch("/a", line).body == kDigits);
  }
  for (const char* line :
       {"If-Match: \"v2\"\r\n", "If-Unmodified-Since: Sat, 05 Nov 1994 08:49:37 GMT\r\n"}) {
    INFO(line);
    CHECK(client.fetch("/a", line).status == 412);
  }
  CHECK(scene.origin.calls() == 1);
}

TEST_CASE("A condition on a miss is answered from the whole, which is stored") {
  Scene scene(always(kDay, kDigits));
  RawClient client = scene.client();
  CHECK(client.fetch("/a", "If-None-Match: \"v1\"\r\n").status == 304);
  CHECK(scene.origin.log().back().field("if-none-match").empty());
  RawResponse hit = client.fetch("/a");
  CHECK(hit.body == kDigits);
  CHECK(scene.origin.calls() == 1);
}

TEST_CASE("Single ranges of a stored object are cut from it") {
  Scene scene(always(kDay, kDigits));
  RawClient client = scene.client();
  client.fetch("/a");
  struct Row {
    const char* range;
    const char* body;
    const char* content_range;
  };
  for (const Row& row :
       {Row{"bytes=0-0", "0", "bytes 0-0/10"}, Row{"bytes=0-3", "0123", "bytes 0-3/10"},
        Row{"bytes=7-", "789", "bytes 7-9/10"}, Row{"bytes=7-999", "789", "bytes 7-9/10"},
        Row{"bytes=-2", "89", "bytes 8-9/10"}, Row{"bytes=-999", "0123456789", "bytes 0-9/10"},
        Row{"bytes=9-9", "9", "bytes 9-9/10"}}) {
    INFO(row.range);
    RawResponse part = client.fetch("/a", "Range: "s + row.range + "\r\n");
    CHECK(part.status == 206);
    CHECK(part.body == row.body);
    CHECK(part.field("content-range") == row.content_range);
    CHECK(part.field("content-length") == std::to_string(std::string(row.body).size()));
  }
  for (const char* range : {"bytes=10-", "bytes=10-20", "bytes=-0"}) {
    INFO(range);
    RawResponse none = client.fetch("/a", "Range: "s + range + "\r\n");
    CHECK(none.status == 416);
    CHECK(none.field("content-range") == "bytes */10");
    CHECK(none.complete);
  }
  for (const char* range : {"bytes=0-1,3-4", "lines=0-1", "bytes=3-1", "bytes=a-b", "bytes"}) {
    INFO(range);
    RawResponse whole = client.fetch("/a", "Range: "s + range + "\r\n");
    CHECK(whole.status == 200);
    CHECK(whole.body == kDigits);
  }
  CHECK(scene.origin.calls() == 1);
}

TEST_CASE("Of two Range lines neither is taken") {
  Scene scene(always("Cache-Control: max-age=60\r\n", "0123456789"));
  RawResponse whole = scene.client().fetch("/a", "Range: bytes=0-1\r\nRange: bytes=2-3\r\n");
  CHECK(whole.status == 200);
  CHECK(whole.body == "0123456789");
}

TEST_CASE("If-Range decides between the part and the whole") {
  Scene scene(always(kDay, kDigits));
  RawClient client = scene.client();
  client.fetch("/a");
  const std::string range = "Range: bytes=2-3\r\n";
  CHECK(client.fetch("/a", range + "If-Range: \"v1\"\r\n").status == 206);
  CHECK(client.fetch("/a", range + "If-Range: \"v2\"\r\n").status == 200);
  CHECK(client.fetch("/a", range + "If-Range: W/\"v1\"\r\n").status == 200);
  CHECK(client.fetch("/a", range + "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n").status == 206);
  CHECK(client.fetch("/a", range + "If-Range: Mon, 07 Nov 1994 08:49:37 GMT\r\n").status == 200);
}

TEST_CASE("A range of what is not stored yet fetches the whole once") {
  Scene scene(always(kDay, kDigits));
  RawClient client = scene.client();
  RawResponse part = client.fetch("/a", "Range: bytes=4-5\r\n");
  CHECK(part.status == 206);
  CHECK(part.body == "45");
  CHECK(scene.origin.log().back().field("range").empty());
  CHECK(client.fetch("/a").body == kDigits);
  CHECK(scene.origin.calls() == 1);
}

TEST_CASE("A range of an object that still arrives is sent as soon as its bytes are there") {
  Gate gate;
  const std::string body = pattern(400'000);
  Scene scene([&](const OriginCall&, const ScriptedOrigin::Send& send) {
    send("HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n"s + kDay + "\r\n" + body.substr(0, 200'000));
    gate.wait();
    return send(body.substr(200'000));
  });
  RawClient first = scene.client();
  first.get("/a");
  REQUIRE(scene.origin.wait_for_calls(1));
  // The gate is closed: this range can only come from what has arrived.
  RawResponse early = scene.client().fetch("/a", "Range: bytes=150000-150009\r\n");
  CHECK(early.status == 206);
  CHECK(early.body == body.substr(150'000, 10));
  CHECK(has(early, "collapsed"));
  RawClient late = scene.client();
  late.get("/a", "Range: bytes=-5\r\n");
  gate.open();
  CHECK(late.read().body == body.substr(399'995));
  CHECK((first.read().body == body));
  CHECK(scene.origin.calls() == 1);
}

TEST_CASE("A stale object is revalidated, and a 304 makes it fresh") {
  Scene scene([](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.field("if-none-match") == "\"v1\"") {
      return send("HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\nETag: \"v1\"\r\n\r\n");
    }
    return send(ScriptedOrigin::answer(
        200, "Cache-Control: max-age=1, stale-while-revalidate=0\r\nAge: 50\r\nETag: \"v1\"\r\n",
        "0123456789"));
  });
  RawClient client = scene.client();
  CHECK(client.fetch("/a").body == kDigits);
  RawResponse revalidated = client.fetch("/a");
  CHECK(revalidated.status == 200);
  CHECK(revalidated.body == kDigits);
  CHECK(has(revalidated, "fwd=stale"));
  CHECK(has(revalidated, "fwd-status=304"));
  CHECK_FALSE(has(revalidated, "hit"));
  CHECK(has(client.fetch("/a"), "hit"));
  CHECK(scene.origin.calls() == 2);
}

TEST_CASE("A stale object that has changed is replaced") {
  Scene scene([](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.number == 1) {
      return send(ScriptedOrigin::answer(
          200, "Cache-Control: max-age=1, stale-while-revalidate=0\r\nAge: 50\r\nETag: \"v1\"\r\n", "old"));
    }
    return send(ScriptedOrigin::answer(200, "Cache-Control: max-age=60\r\nETag: \"v2\"\r\n", "new"));
  });
  RawClient client = scene.client();
  CHECK(client.fetch("/a").body == "old");
  RawResponse changed = client.fetch("/a");
  CHECK(changed.body == "new");
  CHECK(has(changed, "fwd=stale"));
  RawResponse hit = client.fetch("/a");
  CHECK(hit.body == "new");
  CHECK(has(hit, "hit"));
}

TEST_CASE("When the origin fails, the stale object is served and says so") {
  for (const char* trouble : {"500", "503", "close"}) {
    INFO(trouble);
    Scene scene([trouble](const OriginCall& call, const ScriptedOrigin::Send& send) {
      if (call.number == 1) {
        return send(ScriptedOrigin::answer(200,
                                           "Cache-Control: max-age=1, stale-while-revalidate=0, "
                                           "stale-if-error=86400\r\nAge: 50\r\nETag: \"v1\"\r\n",
                                           "0123456789"));
      }
      if (trouble == "close"s) return false;
      return send(ScriptedOrigin::answer(std::stoi(trouble), "", "broken"));
    });
    RawClient client = scene.client();
    client.fetch("/a");
    for (int i = 0; i < 2; ++i) {
      RawResponse stale = client.fetch("/a");
      CHECK(stale.status == 200);
      CHECK(stale.body == kDigits);
      CHECK(std::stoi(stale.field("age")) >= 50);
      CHECK(has(stale, "stale"));
    }
    CHECK(scene.node.metric("vignette_cache_requests_total", "outcome=\"stale\"") == 2);
  }
}

TEST_CASE("What must be revalidated is never served stale") {
  for (const char* directive : {"must-revalidate", "proxy-revalidate", "stale-if-error=0", "s-maxage=1"}) {
    INFO(directive);
    Scene scene([directive](const OriginCall& call, const ScriptedOrigin::Send& send) {
      if (call.number == 1) {
        return send(ScriptedOrigin::answer(200,
                                           "Cache-Control: max-age=1, stale-while-revalidate=0, "s +
                                               directive + "\r\nAge: 50\r\nETag: \"v1\"\r\n",
                                           "x"));
      }
      return send(ScriptedOrigin::answer(503, "", "broken"));
    });
    RawClient client = scene.client();
    client.fetch("/a");
    RawResponse answer = client.fetch("/a");
    CHECK(answer.status >= 500);
    CHECK(answer.body != "x");
  }
}

TEST_CASE("no-cache is stored and revalidated every time") {
  Scene scene([](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.field("if-none-match") == "\"v1\"")
      return send("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n");
    return send(ScriptedOrigin::answer(200, "Cache-Control: no-cache\r\nETag: \"v1\"\r\n", "0123456789"));
  });
  RawClient client = scene.client();
  client.fetch("/a");
  for (int i = 0; i < 3; ++i) {
    RawResponse answer = client.fetch("/a");
    CHECK(answer.body == kDigits);
    CHECK(has(answer, "fwd-status=304"));
  }
  CHECK(scene.origin.calls() == 4);
}

TEST_CASE("A stale object is sent at once while it is fetched behind") {
  Gate gate;
  Scene scene([&](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.number == 1) {
      return send(ScriptedOrigin::answer(
          200, "Cache-Control: max-age=1, stale-while-revalidate=600\r\nAge: 50\r\nETag: \"v1\"\r\n", "old"));
    }
    gate.wait();
    return send(ScriptedOrigin::answer(200, kDay, "new"));
  });
  RawClient client = scene.client();
  client.fetch("/a");
  for (int i = 0; i < 5; ++i) {
    RawResponse stale = client.fetch("/a");
    CHECK(stale.body == "old");
    CHECK(has(stale, "hit"));
    CHECK(has(stale, "stale-while-revalidate"));
  }
  REQUIRE(scene.origin.wait_for_calls(2));
  gate.open();
  RawResponse answer;
  do answer = client.fetch("/a");
  while (answer.body == "old");
  CHECK(answer.body == "new");
  CHECK(scene.origin.calls() == 2);
}

TEST_CASE("A refusal of the origin is remembered for a little while where the route gives lifetimes") {
  Scene scene([](const OriginCall&,
                 const ScriptedOrigin::Send& send) { return send(ScriptedOrigin::answer(404, "", "no")); },
              "cache = { mode = \"on\", ttl = \"1h\" }");
  RawClient client = scene.client();
  for (int i = 0; i < 3; ++i) {
    RawResponse answer = client.fetch("/missing");
    CHECK(answer.status == 404);
    CHECK(answer.body == "no");
  }
  CHECK(scene.origin.calls() == 1);

  Scene plain([](const OriginCall&, const ScriptedOrigin::Send& send) {
    return send(ScriptedOrigin::answer(404, "", "no"));
  });
  for (int i = 0; i < 3; ++i) plain.client().fetch("/missing");
  CHECK(plain.origin.calls() == 3);
}

TEST_CASE("A default lifetime stores what the origin says nothing about, and its word goes first") {
  Scene scene(
      [](const OriginCall& call, const ScriptedOrigin::Send& send) {
        return send(
            ScriptedOrigin::answer(200, call.target == "/no" ? "Cache-Control: no-store\r\n" : "", "x"));
      },
      "cache = { mode = \"on\", ttl = \"1h\" }");
  RawClient client = scene.client();
  client.fetch("/yes");
  CHECK(has(client.fetch("/yes"), "hit"));
  client.fetch("/no");
  CHECK_FALSE(has(client.fetch("/no"), "hit"));
}

TEST_CASE("An object of two schemes is two objects") {
  // Trusted hops in front say which scheme the client used; an app's redirect to https must not answer https.
  Scene scene(
      [](const OriginCall& call, const ScriptedOrigin::Send& send) {
        return send(ScriptedOrigin::answer(200, kDay, call.field("x-forwarded-proto")));
      },
      "", "[server]\ntrusted = [\"127.0.0.0/8\"]\n");
  RawClient client = scene.client();
  CHECK(client.fetch("/a", "X-Forwarded-Proto: http\r\n").body == "http");
  CHECK(client.fetch("/a", "X-Forwarded-Proto: https\r\n").body == "https");
  CHECK(client.fetch("/a", "X-Forwarded-Proto: http\r\n").body == "http");
  CHECK(scene.origin.calls() == 2);
}
