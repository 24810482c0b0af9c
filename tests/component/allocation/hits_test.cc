// A hit allocates nothing: what the worker's thread has ever allocated, by jemalloc's own count, does not
// move.
#include <catch2/catch.hpp>

#include "tests/component/scene.h"

using namespace vignette::test;

namespace {

constexpr int kHits = 10'000;

// The bytes that this many hits on one connection allocate. The first ones warm up what is kept.
std::uint64_t allocated_by_hits(Scene& scene, std::string_view target, std::string_view lines, int status) {
  RawClient client = scene.client();
  for (int i = 0; i < 100; ++i) REQUIRE(client.fetch(target, lines).status == status);
  scene.node.settle();
  std::uint64_t before = scene.node.worker().allocated_bytes();
  for (int i = 0; i < kHits; ++i) {
    if (client.fetch(target, lines).status != status) FAIL("hit " << i << " failed");
  }
  std::uint64_t after = scene.node.worker().allocated_bytes();
  scene.node.settle();
  return after - before;
}

}  // namespace

TEST_CASE("The allocator counts what a worker allocates") {
  Scene scene(always("", "ok"));
  RawClient client = scene.client();
  client.fetch("/");
  std::uint64_t before = scene.node.worker().allocated_bytes();
  CHECK(before > 0);
  for (int i = 0; i < 10; ++i) client.fetch("/");
  CHECK(scene.node.worker().allocated_bytes() > before);
}

TEST_CASE("Ten thousand hits allocate nothing") {
  Scene scene(always("Cache-Control: max-age=86400\r\nETag: \"v1\"\r\nContent-Type: image/jpeg\r\n",
                     std::string(1024, 'x')));
  CHECK(allocated_by_hits(scene, "/photo.jpg", "", 200) == 0);
  CHECK(scene.origin.calls() == 1);
}

TEST_CASE("Hits of an ordinary browser allocate nothing, with the access log on") {
  Scene scene(always("Cache-Control: max-age=86400\r\nETag: \"v1\"\r\nContent-Type: image/jpeg\r\n",
                     std::string(32768, 'x')),
              "", "", {.workers = 1, .imaging = false, .access_log = true});
  CHECK(allocated_by_hits(
            scene, "/a/photo.jpg?v=2",
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n"
            "Accept: image/avif,image/webp,*/*\r\nAccept-Encoding: gzip, deflate, br\r\n"
            "Accept-Language: de-DE,de;q=0.9,en;q=0.8\r\nReferer: http://test.local/a/\r\n"
            "Cookie: session=0123456789abcdef; theme=dark\r\nConnection: keep-alive\r\n",
            200) == 0);
  CHECK(scene.origin.calls() == 1);
}

TEST_CASE("Answers 304 and ranges of stored objects allocate nothing") {
  Scene scene(always("Cache-Control: max-age=86400\r\nETag: \"v1\"\r\n", std::string(1024, 'x')));
  REQUIRE(scene.client().fetch("/a").status == 200);
  CHECK(allocated_by_hits(scene, "/a", "If-None-Match: \"v1\"\r\n", 304) == 0);
  CHECK(allocated_by_hits(scene, "/a", "Range: bytes=0-99\r\n", 206) == 0);
}
