// Answers from the disk tier, through the whole node: what memory has let go is read back before anybody is
// asked.
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "tests/component/scene.h"

using namespace vignette;
using namespace vignette::test;

namespace {

constexpr std::size_t kBody = 50'000;
constexpr int kObjects = 60;  // three times what memory holds

TestNode::Options with_disk(const TempDir& folder, unsigned workers = 1) {
  TestNode::Options options;
  options.workers = workers;
  options.access_log = true;
  options.disk.disks = {{folder.path() + "/disk", 16 << 20}};
  options.disk.segment_bytes = 1 << 20;
  return options;
}

std::string path_of(int number) { return "/" + std::to_string(number); }
std::string body_of(std::string_view target) { return std::string(target) + pattern(kBody); }

// Answers with a body of its own for each target, and 304 when asked.
ScriptedOrigin::Script numbered(std::string lines) {
  return [lines](const OriginCall& call, const ScriptedOrigin::Send& send) {
    const std::string etag = "ETag: \"" + std::string(call.target) + "\"\r\n";
    if (!call.field("if-none-match").empty()) {
      return send("HTTP/1.1 304 Not Modified\r\n" + etag + lines + "\r\n");
    }
    return send(ScriptedOrigin::answer(200, etag + lines, body_of(call.target)));
  };
}

// Returns when nothing waits for the disk any more.
void wait_for_writer(Scene& scene) {
  while (scene.node.store().disk_stats().total().queued_objects > 0) std::this_thread::yield();
}

void fill(Scene& scene) {
  while (scene.node.store().disk_stats().volumes.front().state != cache::DiskState::serving) {
    std::this_thread::yield();
  }
  RawClient client = scene.client();
  for (int i = 0; i < kObjects; ++i) {
    REQUIRE(client.fetch(path_of(i)).body == body_of(path_of(i)));
    scene.node.settle();
    wait_for_writer(scene);
  }
  REQUIRE(scene.origin.calls() == kObjects);
  REQUIRE(scene.node.store().disk_stats().total().count(cache::DiskCount::written) >= kObjects);
}

bool has(const RawResponse& answer, std::string_view text) {
  return answer.field("cache-status").find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("What memory has let go comes from the disk, and says so") {
  const TempDir folder;
  Scene scene(numbered("Cache-Control: max-age=3600\r\n"), "", "[cache]\nmemory = \"1MiB\"\n",
              with_disk(folder));
  fill(scene);
  RawClient client = scene.client();
  RawResponse answer = client.fetch(path_of(0));
  CHECK(answer.body == body_of(path_of(0)));
  CHECK(has(answer, "Vignette; hit; ttl="));
  CHECK(has(answer, "detail=disk"));
  answer = client.fetch(path_of(0));
  CHECK(answer.body == body_of(path_of(0)));
  CHECK_FALSE(has(answer, "detail"));
  for (int i = 0; i < kObjects; ++i) CHECK(client.fetch(path_of(i)).body == body_of(path_of(i)));
  CHECK(scene.origin.calls() == kObjects);
  scene.node.settle();
  CHECK(scene.node.access_log().back().find("\"cache_detail\":\"disk\"") != std::string::npos);
}

TEST_CASE("Heads, parts and conditions are answered from the disk") {
  const TempDir folder;
  Scene scene(numbered("Cache-Control: max-age=3600\r\n"), "", "[cache]\nmemory = \"1MiB\"\n",
              with_disk(folder));
  fill(scene);
  RawClient client = scene.client();
  CHECK(client.fetch(path_of(1), "Range: bytes=1-4\r\n").body == body_of(path_of(1)).substr(1, 4));
  CHECK(client.fetch(path_of(2), "If-None-Match: \"/2\"\r\n").status == 304);
  client.send("HEAD /3 HTTP/1.1\r\nHost: test.local\r\n\r\n");
  CHECK(client.read(true).field("content-length") == std::to_string(body_of("/3").size()));
  CHECK(scene.origin.calls() == kObjects);
}

TEST_CASE("Many clients of one object on disk share one read of it") {
  const TempDir folder;
  Scene scene(numbered("Cache-Control: max-age=3600\r\n"), "", "[cache]\nmemory = \"1MiB\"\n",
              with_disk(folder, 2));
  fill(scene);
  const std::uint64_t before = scene.node.store().disk_stats().total().count(cache::DiskCount::hits);
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { right += scene.client().fetch(path_of(0)).body == body_of(path_of(0)); });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 8);
  CHECK(scene.node.store().disk_stats().total().count(cache::DiskCount::hits) == before + 1);
  CHECK(scene.origin.calls() == kObjects);
}

TEST_CASE("What lies stale on the disk is validated, not fetched") {
  const TempDir folder;
  Scene scene(numbered("Cache-Control: max-age=0, must-revalidate\r\n"), "", "[cache]\nmemory = \"1MiB\"\n",
              with_disk(folder));
  fill(scene);
  const RawResponse answer = scene.client().fetch(path_of(0));
  CHECK(answer.body == body_of(path_of(0)));
  CHECK(has(answer, "fwd=stale; fwd-status=304"));
  CHECK(scene.origin.calls() == kObjects + 1);
}
