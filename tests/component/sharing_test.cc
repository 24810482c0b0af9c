// What is for everybody is fetched once, what is not is never waited for: revalidation, answers that change
// their mind, and variants, under many clients at once.
#include <catch2/catch.hpp>

#include <atomic>
#include <string>
#include <vector>

#include "cache/key.h"
#include "cache/object.h"
#include "cache/variant_book.h"
#include "tests/component/scene.h"

using namespace vignette;
using namespace vignette::test;
using namespace std::string_literals;

namespace {

const TestNode::Options kTwoWorkers{.workers = 2};

bool has(const RawResponse& answer, std::string_view words) {
  return answer.field("cache-status").find(words) != std::string::npos;
}

std::vector<RawClient> ask_all(Scene& scene, std::string_view target, std::size_t count) {
  std::vector<RawClient> clients;
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back(scene.client());
    clients.back().get(target);
  }
  return clients;
}

// What is stored under a target came that much earlier than it did.
void make_older(Scene& scene, std::string_view target, std::chrono::seconds by) {
  std::string name;
  const cache::Key key = cache::build_key({.host = "test.local", .path = target, .variant = "http"}, name);
  const cache::ObjectRef object = scene.node.store().peek(key, name);
  REQUIRE(object);
  cache::ObjectHead head;
  head.status = object->status();
  head.fields = object->fields();
  head.request_time = head.response_time = object->response_time() - by;
  head.freshness_lifetime = object->freshness_lifetime();
  head.stale_while_revalidate = object->stale_while_revalidate();
  head.flags = object->flags();
  head.sequence = object->sequence();
  REQUIRE(scene.node.store().replace_head(*object, object->freshened(head)));
}

}  // namespace

TEST_CASE("Many clients of a stale answer get it at once, and one revalidation is in flight") {
  Gate gate;
  Scene scene(
      [&](const OriginCall& call, const ScriptedOrigin::Send& send) {
        if (call.number == 1) {
          return send(ScriptedOrigin::answer(200,
                                             "Cache-Control: max-age=1, stale-while-revalidate=600\r\nAge: "
                                             "50\r\nETag: \"v1\"\r\nX-A: old\r\n",
                                             "body"));
        }
        gate.wait();
        return send("HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\nX-A: new\r\n\r\n");
      },
      "", "", kTwoWorkers);
  scene.client().fetch("/a");
  // They are answered while the origin stands at the gate.
  for (RawClient& client : ask_all(scene, "/a", 40)) {
    const RawResponse answer = client.read();
    CHECK(answer.body == "body");
    CHECK(answer.field("x-a") == "old");
    CHECK(has(answer, "detail=stale-while-revalidate"));
  }
  REQUIRE(scene.origin.wait_for_calls(2));
  CHECK(scene.origin.calls() == 2);
  gate.open();
  RawClient client = scene.client();
  RawResponse answer;
  do answer = client.fetch("/a");
  while (answer.field("x-a") == "old");
  for (RawClient& other : ask_all(scene, "/a", 20)) {
    answer = other.read();
    CHECK(answer.body == "body");
    CHECK(answer.field("x-a") == "new");
    CHECK(answer.field("etag") == "\"v1\"");
    CHECK(has(answer, "Vignette; hit; ttl="));
    CHECK_FALSE(has(answer, "stale"));
  }
  CHECK(scene.origin.calls() == 2);
  CHECK(scene.origin.log().at(1).field("if-none-match") == "\"v1\"");
}

TEST_CASE("Many clients of an answer that must be revalidated wait for one 304") {
  Gate gate;
  Scene scene(
      [&](const OriginCall& call, const ScriptedOrigin::Send& send) {
        if (call.number == 1) {
          return send(ScriptedOrigin::answer(
              200, "Cache-Control: max-age=60, must-revalidate\r\nETag: \"v1\"\r\n", "body"));
        }
        gate.wait();
        return send("HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60, must-revalidate\r\n\r\n");
      },
      "", "", kTwoWorkers);
  scene.client().fetch("/a");
  make_older(scene, "/a", std::chrono::seconds(100));
  std::vector<RawClient> clients = ask_all(scene, "/a", 20);
  REQUIRE(scene.origin.wait_for_calls(2));
  gate.open();
  for (RawClient& client : clients) {
    const RawResponse answer = client.read();
    CHECK(answer.status == 200);
    CHECK(answer.body == "body");
  }
  CHECK(scene.origin.calls() == 2);
}

TEST_CASE("A URL that was private is shared again as soon as it says that it may be") {
  std::atomic<bool> is_private{true};
  std::atomic<int> gated_from{1000};
  Gate gate;
  Scene scene(
      [&](const OriginCall& call, const ScriptedOrigin::Send& send) {
        if (call.number >= gated_from) gate.wait();
        return send(ScriptedOrigin::answer(
            200, is_private ? "Cache-Control: private\r\n" : "Cache-Control: max-age=60\r\n",
            std::to_string(call.number)));
      },
      "", "", kTwoWorkers);
  RawClient client = scene.client();
  CHECK(has(client.fetch("/a"), "detail=private"));
  CHECK(has(client.fetch("/a"), "detail=private"));
  is_private = false;
  CHECK(has(client.fetch("/a"), "stored"));
  CHECK(has(client.fetch("/a"), "Vignette; hit"));
  CHECK(scene.origin.calls() == 3);
  // The store forgets it, the fills do not know it as private any more: all of these are one request.
  scene.node.store().clear();
  gated_from = 4;
  std::vector<RawClient> clients = ask_all(scene, "/a", 12);
  REQUIRE(scene.origin.wait_for_calls(4));
  gate.open();
  for (RawClient& other : clients) CHECK(other.read().body == "4");
  CHECK(scene.origin.calls() == 4);
}

TEST_CASE("A header that clients make up fills the cache with no more than a few variants of a page") {
  Scene scene([](const OriginCall& call, const ScriptedOrigin::Send& send) {
    return send(
        ScriptedOrigin::answer(200, "Cache-Control: max-age=60\r\nVary: X-Any\r\n", call.field("x-any")));
  });
  RawClient client = scene.client();
  CHECK(client.fetch("/a", "X-Any: liked\r\n").body == "liked");
  for (std::size_t i = 0; i < 2 * cache::kMaxVariants; ++i) {
    client.fetch("/a", "X-Any: " + std::to_string(i) + "\r\n");
    CHECK(has(client.fetch("/a", "X-Any: liked\r\n"), "Vignette; hit"));
  }
  CHECK(scene.node.store().stats().objects == cache::kMaxVariants + 1);  // and the marker
  CHECK(scene.origin.calls() == static_cast<int>(2 * cache::kMaxVariants) + 1);
}

TEST_CASE("An origin is told no more of Accept-Encoding than the key of its answer tells apart") {
  Scene scene([](const OriginCall& call, const ScriptedOrigin::Send& send) {
    return send(ScriptedOrigin::answer(200, "Cache-Control: max-age=60\r\nVary: Accept-Encoding\r\n",
                                       "for " + call.field("accept-encoding")));
  });
  RawClient client = scene.client();
  CHECK(client.fetch("/a", "Accept-Encoding: deflate, gzip;q=0.5, br\r\n").body == "for br,gzip");
  CHECK(client.fetch("/a", "Accept-Encoding: br, gzip, x-new\r\n").body == "for br,gzip");
  CHECK(client.fetch("/a", "Accept-Encoding: deflate\r\n").body == "for ");
  CHECK(client.fetch("/a").body == "for ");
  CHECK(client.fetch("/a", "Accept-Encoding: gzip\r\n").body == "for gzip");
  CHECK(scene.origin.calls() == 3);
}

TEST_CASE("Of an answer that is not for others a part or a change is asked for as such, once that is known") {
  Scene scene([](const OriginCall& call, const ScriptedOrigin::Send& send) {
    const std::string lines = "Cache-Control: private\r\nETag: \"v1\"\r\n";
    if (call.field("if-none-match") == "\"v1\"")
      return send("HTTP/1.1 304 Not Modified\r\n" + lines + "\r\n");
    if (call.field("range") != "bytes=6-8") return send(ScriptedOrigin::answer(200, lines, "0123456789"));
    return send(ScriptedOrigin::answer(206, lines + "Content-Range: bytes 6-8/10\r\n", "678"));
  });
  RawClient client = scene.client();
  CHECK(client.fetch("/a").body == "0123456789");
  const RawResponse part = client.fetch("/a", "Range: bytes=6-8\r\n");
  CHECK(part.status == 206);
  CHECK(part.body == "678");
  CHECK(has(part, "fwd=uri-miss; fwd-status=206"));
  CHECK(client.fetch("/a", "If-None-Match: \"v1\"\r\n").status == 304);
  const std::vector<OriginCall> calls = scene.origin.log();
  REQUIRE(calls.size() == 3);
  CHECK(calls[1].field("range") == "bytes=6-8");
  CHECK(calls[2].field("if-none-match") == "\"v1\"");
}
