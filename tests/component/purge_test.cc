// Purges as scenes: what each kind takes, what was under way, what comes back and what does not.
#include <fmt/core.h>
#include <sys/socket.h>

#include <atomic>
#include <catch2/catch.hpp>

#include "cache/purge/cache_groups.h"
#include "cache/stored_fields.h"
#include "scene.h"

namespace vignette::test {
namespace {

// Answers "PATH #N" where N counts the requests, with these field lines.
struct Counting {
  explicit Counting(std::string given) : lines(std::move(given)) {}
  ScriptedOrigin::Script script() {
    return [this](const OriginCall& call, const ScriptedOrigin::Send& send) {
      const int number = ++requests;
      if (call.method != "GET") return send(ScriptedOrigin::answer(200, "", "done"));
      return send(ScriptedOrigin::answer(200, lines, call.target + " #" + std::to_string(number)));
    };
  }
  std::string lines;
  std::atomic<int> requests{0};
};

std::string body_of(const Scene& scene, const std::string& path, const std::string& fields = "") {
  RawClient client = scene.client();
  client.send("GET " + path + " HTTP/1.1\r\nHost: a.test\r\n" + fields + "\r\n");
  return client.read().body;
}

}  // namespace

TEST_CASE("a purge by URL takes that URL and leaves its neighbours") {
  Counting counting("Cache-Control: max-age=600\r\n");
  Scene scene(counting.script());
  CHECK(body_of(scene, "/a?x=1") == "/a?x=1 #1");
  CHECK(body_of(scene, "/b") == "/b #2");
  const std::string receipt = scene.node.purge(R"({"url": "http://a.test/a?x=1"})");
  CHECK(receipt.starts_with("200 {\"id\":"));
  CHECK(body_of(scene, "/b") == "/b #2");
  CHECK(body_of(scene, "/a?x=1") == "/a?x=1 #3");
  CHECK(body_of(scene, "/a?x=1") == "/a?x=1 #3");
}

TEST_CASE("a purge by URL takes every variant that Vary made") {
  Counting counting("Cache-Control: max-age=600\r\nVary: X-Kind\r\n");
  Scene scene(counting.script());
  CHECK(body_of(scene, "/a", "X-Kind: one\r\n") == "/a #1");
  CHECK(body_of(scene, "/a", "X-Kind: two\r\n") == "/a #2");
  CHECK(body_of(scene, "/a", "X-Kind: one\r\n") == "/a #1");
  scene.node.purge(R"({"url": "http://a.test/a"})");
  CHECK(body_of(scene, "/a", "X-Kind: one\r\n") == "/a #3");
  CHECK(body_of(scene, "/a", "X-Kind: two\r\n") == "/a #4");
}

TEST_CASE("tags of every spelling purge, and reach no client") {
  const std::string lines = GENERATE("Cache-Tag: red, blue\r\n", "Surrogate-Key: blue red\r\n",
                                     "xkey: red\r\n", "Cache-Groups: \"red\";a=1, \"green one\"\r\n");
  CAPTURE(lines);
  Counting counting("Cache-Control: max-age=600\r\n" + lines);
  Scene scene(counting.script());
  RawClient client = scene.client();
  client.send("GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n");
  const auto first = client.read();
  CHECK(first.body == "/a #1");
  for (const char* name : {"cache-tag", "surrogate-key", "xkey", "cache-groups"})
    CHECK(first.field(name).empty());
  client.send("GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n");
  CHECK(client.read().body == "/a #1");
  scene.node.purge(R"({"tag": "violet"})");
  CHECK(body_of(scene, "/a") == "/a #1");
  scene.node.purge(R"({"tag": ["violet", "red"]})");
  CHECK(body_of(scene, "/a") == "/a #2");
}

TEST_CASE("what has more tags than are kept goes with a purge by any tag") {
  std::string tags = "Cache-Tag: ";
  for (std::size_t i = 0; tags.size() < cache::kMaxTagBytes + 100; ++i)
    tags += "tag" + std::to_string(i) + ",";
  Counting counting("Cache-Control: max-age=600\r\n" + tags + "last\r\n");
  Scene scene(counting.script());
  CHECK(body_of(scene, "/a") == "/a #1");
  CHECK(body_of(scene, "/a") == "/a #1");
  scene.node.purge(R"({"url": "http://a.test/b"})");
  CHECK(body_of(scene, "/a") == "/a #1");
  scene.node.purge(R"({"tag": "last"})");
  CHECK(body_of(scene, "/a") == "/a #2");
}

TEST_CASE("a group with a blank in its name is purged by that name") {
  Counting counting("Cache-Control: max-age=600\r\nCache-Groups: \"green one\"\r\n");
  Scene scene(counting.script());
  CHECK(body_of(scene, "/a") == "/a #1");
  scene.node.purge(R"({"tag": "green"})");
  CHECK(body_of(scene, "/a") == "/a #1");
  scene.node.purge(R"({"tag": "green one"})");
  CHECK(body_of(scene, "/a") == "/a #2");
}

TEST_CASE("a route that sends tags on keeps them in hits and in what passes") {
  Counting counting("Cache-Control: max-age=600\r\nCache-Tag: red\r\n");
  Scene scene(counting.script(), "cache = { mode = \"explicit\", send_tags = true }");
  RawClient client = scene.client();
  for (int i = 0; i < 2; ++i) {
    client.send("GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n");
    CHECK(client.read().field("cache-tag") == "red");
  }
}

TEST_CASE("purges by prefix, by origin and of everything") {
  Counting counting("Cache-Control: max-age=600\r\n");
  Scene scene(counting.script());
  CHECK(body_of(scene, "/a/1") == "/a/1 #1");
  CHECK(body_of(scene, "/b/1") == "/b/1 #2");
  scene.node.purge(R"({"prefix": "http://a.test/a/"})");
  CHECK(body_of(scene, "/b/1") == "/b/1 #2");
  CHECK(body_of(scene, "/a/1") == "/a/1 #3");
  scene.node.purge(R"({"origin": "app"})");
  CHECK(body_of(scene, "/a/1") == "/a/1 #4");
  scene.node.purge(R"({"all": true})");
  CHECK(body_of(scene, "/a/1") == "/a/1 #5");
  CHECK(scene.node.store().stats().purged == 3);
}

TEST_CASE("a dry run counts what is alive and takes nothing") {
  Counting counting("Cache-Control: max-age=600\r\nCache-Tag: red\r\n");
  Scene scene(counting.script());
  for (const char* path : {"/1", "/2", "/3"}) body_of(scene, path);
  scene.node.purge(R"({"url": "http://a.test/1"})");
  const std::string counted = scene.node.purge(R"({"tag": "red", "dry_run": true})");
  CAPTURE(counted);
  CHECK(counted.find("\"known_in_memory\":2,\"known_on_disk\":null,") != std::string::npos);
  CHECK(counted.find("\"counted\":\"in memory, every object; on disk, nothing\"") != std::string::npos);
  CHECK(body_of(scene, "/2") == "/2 #2");
}

TEST_CASE("what a purge would refuse, its dry run refuses") {
  Counting counting("Cache-Control: max-age=600\r\n");
  Scene scene(counting.script());
  const std::string tag(cache::PurgeBook::kMaxNameBytes + 1, 'x');
  for (const char* dry_run : {"false", "true"}) {
    const std::string answer =
        scene.node.purge(fmt::format(R"({{"tag": "{}", "dry_run": {}}})", tag, dry_run));
    CHECK(answer.starts_with("400 {\"error\":\"a name is too long"));
  }
}

TEST_CASE("a fill that began before the purge is not stored, and its reader still gets it") {
  // Before the head, only the URL is known; after it, the tags are too.
  const bool has_head = GENERATE(false, true);
  const std::string order =
      has_head ? GENERATE(as<std::string>(), R"({"tag": "red"})", R"({"url": "http://a.test/a"})")
               : std::string(R"({"url": "http://a.test/a"})");
  CAPTURE(has_head, order);
  Gate asked;
  Gate gate;
  std::atomic<int> requests{0};
  Scene scene([&](const OriginCall&, const ScriptedOrigin::Send& send) {
    const int number = ++requests;
    const std::string lines = "Cache-Control: max-age=600\r\nCache-Tag: red\r\n";
    if (number > 1) return send(ScriptedOrigin::answer(200, lines, "later #" + std::to_string(number)));
    // In chunks: a short answer with a length would be awaited whole.
    const std::string head =
        "HTTP/1.1 200 OK\r\n" + lines + "Transfer-Encoding: chunked\r\n\r\n6\r\nfirst \r\n";
    const std::string rest = "2\r\n#1\r\n0\r\n\r\n";
    if (has_head && !send(head)) return false;
    asked.open();
    gate.wait();
    return send(has_head ? rest : head + rest);
  });
  RawClient early = scene.client();
  early.send("GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n");
  asked.wait();
  char first = 0;
  if (has_head) REQUIRE(::recv(early.descriptor(), &first, 1, MSG_PEEK) == 1);
  CHECK(scene.node.purge(order).starts_with("200"));
  // Who comes after the purge does not join what began before it.
  CHECK(body_of(scene, "/a") == "later #2");
  gate.open();
  CHECK(early.read().body == "first #1");
  CHECK(body_of(scene, "/a") == "later #2");
}

TEST_CASE("what a soft purge took is validated and goes on") {
  std::atomic<int> requests{0};
  std::atomic<int> validations{0};
  Scene scene([&](const OriginCall& call, const ScriptedOrigin::Send& send) {
    ++requests;
    if (!call.field("if-none-match").empty()) {
      ++validations;
      return send("HTTP/1.1 304 Not Modified\r\nETag: \"v\"\r\nCache-Control: max-age=600\r\n\r\n");
    }
    return send(ScriptedOrigin::answer(200, "ETag: \"v\"\r\nCache-Tag: red\r\nCache-Control: max-age=600\r\n",
                                       "body"));
  });
  CHECK(body_of(scene, "/a") == "body");
  scene.node.purge(R"({"tag": "red", "mode": "soft"})");
  CHECK(body_of(scene, "/a") == "body");
  CHECK(requests == 2);
  CHECK(validations == 1);
  CHECK(body_of(scene, "/a") == "body");
  CHECK(requests == 2);
  // The 304 named no tags: it has kept its own.
  scene.node.purge(R"({"tag": "red"})");
  CHECK(body_of(scene, "/a") == "body");
  CHECK(requests == 3);
  CHECK(validations == 1);
}

TEST_CASE("an origin that is down brings nothing purged back") {
  std::atomic<bool> is_down{false};
  Scene scene([&](const OriginCall&, const ScriptedOrigin::Send& send) {
    if (is_down) return send(ScriptedOrigin::answer(503, "", "down"));
    return send(
        ScriptedOrigin::answer(200, "Cache-Control: max-age=600, stale-if-error=600\r\n", "private photo"));
  });
  CHECK(body_of(scene, "/a") == "private photo");
  scene.node.purge(R"({"url": "http://a.test/a"})");
  is_down = true;
  CHECK(body_of(scene, "/a") != "private photo");
}

TEST_CASE("an order that is wrong says why and purges nothing") {
  Counting counting("Cache-Control: max-age=600\r\n");
  Scene scene(counting.script());
  CHECK(body_of(scene, "/a") == "/a #1");
  for (const char* order : {"",
                            "[]",
                            "{}",
                            R"({"url": 7})",
                            R"({"url": []})",
                            R"({"url": ""})",
                            R"({"url": "a.test/a"})",
                            R"({"url": "ftp://a.test/a"})",
                            R"({"url": "http://a.test/a", "tag": "x"})",
                            R"({"all": "yes"})",
                            R"({"origin": "nobody"})",
                            R"({"prefix": "/a"})",
                            R"({"prefix": "a", "origin": "app"})",
                            R"({"tag": "x", "mode": "gentle"})",
                            R"({"tag": "x", "dry_run": 1})",
                            R"({"tag": "x", "erase": 1})",
                            R"({"tag": "x", "erase": true, "mode": "soft"})",
                            R"({"tag": "x", "colour": 1})",
                            R"({"tag": "\u0001o:app"})",
                            R"({"url": "http://a.test/../x"})"}) {
    CAPTURE(order);
    const std::string answer = scene.node.purge(order);
    CHECK(answer.starts_with("400 {\"error\":"));
  }
  CHECK(body_of(scene, "/a") == "/a #1");
}

TEST_CASE("PURGE is for the networks that the route names") {
  Counting counting("Cache-Control: max-age=600\r\n");
  SECTION("from there it takes the URL and answers the receipt") {
    Scene scene(counting.script(), "purge_from = [\"127.0.0.0/8\"]");
    CHECK(body_of(scene, "/a") == "/a #1");
    RawClient client = scene.client();
    client.send("PURGE /a HTTP/1.1\r\nHost: a.test\r\n\r\n");
    const auto receipt = client.read();
    CHECK(receipt.status == 200);
    CHECK(receipt.body.find("\"names\":[\"a.test/a\"]") != std::string::npos);
    CHECK(body_of(scene, "/a") == "/a #2");
  }
  SECTION("from outside it is 403, and nothing goes") {
    Scene scene(counting.script(), "purge_from = [\"10.0.0.0/8\"]");
    CHECK(body_of(scene, "/a") == "/a #1");
    RawClient client = scene.client();
    client.send("PURGE /a HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n");
    CHECK(client.read().status == 403);
    CHECK(body_of(scene, "/a") == "/a #1");
  }
  SECTION("a route without the option passes it on like any method") {
    Scene scene(counting.script());
    CHECK(body_of(scene, "/a") == "/a #1");
    RawClient client = scene.client();
    client.send("PURGE /a HTTP/1.1\r\nHost: a.test\r\n\r\n");
    CHECK(client.read().body == "done");
  }
}

TEST_CASE("an answer to an unsafe method takes what it changed") {
  std::atomic<int> gets{0};
  std::atomic<int> status{200};
  std::string lines;
  Scene scene([&](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.method != "GET") return send(ScriptedOrigin::answer(status, lines, "done"));
    return send(ScriptedOrigin::answer(200, "Cache-Control: max-age=600\r\n", "#" + std::to_string(++gets)));
  });
  const auto post = [&](const std::string& path) {
    RawClient client = scene.client();
    client.send("POST " + path + " HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    return client.read().status;
  };
  CHECK(body_of(scene, "/dir/a") == "#1");
  CHECK(body_of(scene, "/dir/b") == "#2");
  SECTION("its own URL") {
    CHECK(post("/dir/a") == 200);
    CHECK(body_of(scene, "/dir/b") == "#2");
    CHECK(body_of(scene, "/dir/a") == "#3");
  }
  SECTION("not when it failed") {
    status = 500;
    CHECK(post("/dir/a") == 500);
    CHECK(body_of(scene, "/dir/a") == "#1");
  }
  SECTION("Location and Content-Location of the same host") {
    lines = GENERATE("Location: /dir/b\r\n", "Content-Location: http://A.test/dir/b\r\n",
                     "Location: b#part\r\n", "Location: //a.test/dir/b\r\n");
    CAPTURE(lines);
    CHECK(post("/dir/c") == 200);
    CHECK(body_of(scene, "/dir/a") == "#1");
    CHECK(body_of(scene, "/dir/b") == "#3");
  }
  SECTION("but not of another host") {
    lines =
        GENERATE("Location: http://b.test/dir/b\r\n", "Location: //b.test/dir/b\r\n", "Location: urn:x\r\n");
    CAPTURE(lines);
    CHECK(post("/dir/c") == 200);
    CHECK(body_of(scene, "/dir/b") == "#2");
  }
  SECTION("and it costs nothing where nothing is stored") {
    const double before = static_cast<double>(scene.node.store().stats().purged);
    for (int i = 0; i < 10; ++i) post("/dir/new" + std::to_string(i));
    CHECK(scene.node.purge(R"({"tag": "x"})").find("\"id\":2,") != std::string::npos);
    CHECK(static_cast<double>(scene.node.store().stats().purged) == before);
  }
}

TEST_CASE("an answer to an unsafe method takes the groups that it names, of its own origin") {
  std::atomic<int> gets{0};
  std::atomic<int> status{200};
  std::string invalidation = "Cache-Group-Invalidation: \"red\"\r\n";
  std::string more;  // of the answers to GET
  Scene scene([&](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.method != "GET") return send(ScriptedOrigin::answer(status, invalidation, "done"));
    const std::string group = call.target == "/blue" ? "blue" : "red";
    const std::string lines = "Cache-Control: max-age=600\r\nCache-Groups: \"x\", \"" + group + "\"\r\n";
    return send(ScriptedOrigin::answer(200, lines + more, "#" + std::to_string(++gets)));
  });
  const auto get = [&](const std::string& path, const std::string& host) {
    RawClient client = scene.client();
    client.send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
    return client.read().body;
  };
  const auto post = [&] {
    RawClient client = scene.client();
    client.send("POST /form HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    const auto answer = client.read();
    CHECK(answer.field("cache-group-invalidation").empty() == invalidation.empty());
    return answer.status;
  };
  CHECK(get("/red", "a.test") == "#1");
  CHECK(get("/blue", "a.test") == "#2");
  CHECK(get("/red", "b.test") == "#3");
  SECTION("by name") {
    CHECK(post() == 200);
    CHECK(get("/blue", "a.test") == "#2");
    CHECK(get("/red", "b.test") == "#3");
    CHECK(get("/red", "a.test") == "#4");
    CHECK(get("/red", "a.test") == "#4");
  }
  SECTION("several, in lines and with parameters") {
    invalidation =
        "Cache-Group-Invalidation: \"green\", \"blue\";why=1\r\nCache-Group-Invalidation: \"red\"\r\n";
    CHECK(post() == 200);
    CHECK(get("/blue", "a.test") == "#4");
    CHECK(get("/red", "a.test") == "#5");
    CHECK(get("/red", "b.test") == "#3");
  }
  SECTION("not when the method failed") {
    status = 500;
    CHECK(post() == 500);
    CHECK(get("/red", "a.test") == "#1");
  }
  SECTION("not when the field is malformed") {
    invalidation = "Cache-Group-Invalidation: \"red\", blue\r\n";
    CHECK(post() == 200);
    CHECK(get("/red", "a.test") == "#1");
  }
  SECTION("not by an answer to a safe method") {
    more = invalidation;
    CHECK(get("/other", "a.test") == "#4");
    CHECK(get("/red", "a.test") == "#1");
  }
  SECTION("not beyond the limit of groups") {
    invalidation = "Cache-Group-Invalidation: ";
    for (std::size_t i = 0; i < cache::kMaxCacheGroups; ++i)
      invalidation += "\"g" + std::to_string(i) + "\", ";
    invalidation += "\"red\"\r\n";
    CHECK(post() == 200);
    CHECK(get("/red", "a.test") == "#1");
  }
}

TEST_CASE("PURGE takes as its field Purge-Mode says") {
  std::atomic<int> requests{0};
  Scene scene(
      [&](const OriginCall& call, const ScriptedOrigin::Send& send) {
        ++requests;
        if (!call.field("if-none-match").empty()) {
          return send("HTTP/1.1 304 Not Modified\r\nETag: \"v\"\r\nCache-Control: max-age=600\r\n\r\n");
        }
        return send(ScriptedOrigin::answer(200, "ETag: \"v\"\r\nCache-Control: max-age=600\r\n", "body"));
      },
      "purge_from = [\"127.0.0.0/8\"]");
  const auto purge = [&](const std::string& fields) {
    RawClient client = scene.client();
    client.send("PURGE /a HTTP/1.1\r\nHost: a.test\r\n" + fields + "\r\n");
    return client.read();
  };
  CHECK(body_of(scene, "/a") == "body");
  CHECK(purge("Purge-Mode: gentle\r\n").status == 400);
  CHECK(body_of(scene, "/a") == "body");
  CHECK(requests == 1);
  const auto soft = purge("Purge-Mode: soft\r\n");
  CHECK(soft.status == 200);
  CHECK(soft.body.find("\"mode\":\"soft\"") != std::string::npos);
  CHECK(soft.body.find("\"known_in_memory\":1,") != std::string::npos);
  CHECK(body_of(scene, "/a") == "body");
  CHECK(requests == 2);  // validated
  const auto erased = purge("Purge-Mode: erase\r\n");
  CHECK(erased.status == 200);
  CHECK(erased.body.find("\"mode\":\"hard\"") != std::string::npos);
  CHECK(erased.body.find("\"known_on_disk\":0,") != std::string::npos);
  CHECK(erased.body.find("\"erased\":{\"copies\":0,\"bytes\":0}") != std::string::npos);
  CHECK(body_of(scene, "/a") == "body");
  CHECK(requests == 3);  // fetched
}

}  // namespace vignette::test
