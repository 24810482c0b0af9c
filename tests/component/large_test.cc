// Objects longer than 1 MiB: stored as a manifest and chunks, fetched and served in parts, never mixed.
#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/component/large_origin.h"
#include "tests/component/scene.h"

using namespace vignette::test;
using namespace std::string_literals;

namespace {

constexpr const char* kOn = "cache = \"on\"";

bool has(const RawResponse& answer, std::string_view words) {
  return answer.field("cache-status").find(words) != std::string::npos;
}

std::string range_line(std::uint64_t first, std::uint64_t last) {
  return "Range: bytes=" + std::to_string(first) + "-" + std::to_string(last) + "\r\n";
}

// A part is what the byte function says, and its fields say which part it is.
void check_part(const RawResponse& answer, const LargeObject& object, std::uint64_t first,
                std::uint64_t last) {
  last = std::min<std::uint64_t>(last, object.size - 1);
  INFO("bytes " << first << "-" << last << " of " << object.size);
  CHECK(answer.status == 206);
  CHECK(answer.complete);
  CHECK((answer.body == object.bytes(first, last)));
  CHECK(answer.field("content-range") ==
        "bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" + std::to_string(object.size));
  CHECK(answer.field("content-length") == std::to_string(last - first + 1));
  CHECK(answer.field("etag") == object.etag());
}

void check_whole(const RawResponse& answer, const LargeObject& object) {
  CHECK(answer.status == 200);
  CHECK(answer.complete);
  CHECK((answer.body == object.bytes(0, object.size - 1)));
  CHECK(answer.field("content-length") == std::to_string(object.size));
}

struct LargeScene : LargeOrigin, Scene {
  explicit LargeScene(std::uint64_t size, std::string_view route = kOn, const TestNode::Options& options = {})
      : LargeOrigin(size), Scene(script(), route, "", options) {}

  bool wait_for_chunks(double count) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (node.metric("vignette_chunks_fetched_total") < count) {
      if (std::chrono::steady_clock::now() > limit) return false;
      std::this_thread::yield();
    }
    return true;
  }
  std::vector<std::string> asked() {
    std::vector<std::string> ranges;
    for (const OriginCall& call : origin.log()) ranges.push_back(call.field("range"));
    return ranges;
  }
};

}  // namespace

TEST_CASE("A large object is fetched by one request; the second answer comes from the cache") {
  LargeScene scene(3 * kMiB + 1000);
  RawClient client = scene.client();
  RawResponse miss = client.fetch("/a");
  check_whole(miss, scene.now());
  CHECK(has(miss, "fwd=uri-miss"));
  CHECK(has(miss, "stored"));
  REQUIRE(scene.wait_for_chunks(4));
  RawResponse hit = client.fetch("/a");
  check_whole(hit, scene.now());
  CHECK(hit.field("cache-status").starts_with("Vignette; hit"));
  check_part(client.fetch("/a", range_line(kMiB - 10, kMiB + 10)), scene.now(), kMiB - 10, kMiB + 10);
  CHECK(client.fetch("/a", "If-None-Match: " + scene.now().etag() + "\r\n").status == 304);
  client.send("HEAD /a HTTP/1.1\r\nHost: test.local\r\n\r\n");
  CHECK(client.read(true).field("content-length") == std::to_string(scene.now().size));
  CHECK(client.fetch("/a", "Range: bytes=9999999-\r\n").status == 416);
  check_whole(client.fetch("/a", "Range: bytes=0-1,5-6\r\n"), scene.now());
  CHECK(client.fetch("/a", range_line(0, 9) + "If-Range: \"other\"\r\n").status == 200);
  check_part(client.fetch("/a", range_line(0, 9) + "If-Range: " + scene.now().etag() + "\r\n"), scene.now(),
             0, 9);
  CHECK(scene.asked() == std::vector<std::string>{""});
  CHECK(scene.node.metric("vignette_chunks_fetched_total") == 4);
}

TEST_CASE("A range of a cold large object fetches the first chunk and those that it needs") {
  LargeScene scene(5 * kMiB);
  RawClient client = scene.client();
  RawResponse part = client.fetch("/a", range_line(3 * kMiB - 100, 3 * kMiB + 99));
  check_part(part, scene.now(), 3 * kMiB - 100, 3 * kMiB + 99);
  CHECK(has(part, "fwd=uri-miss"));
  CHECK(scene.asked() == std::vector<std::string>{"bytes=0-1048575", "bytes=2097152-4194303"});
  CHECK(scene.origin.log().back().field("if-match") == scene.now().etag());
  REQUIRE(scene.wait_for_chunks(3));
  RawResponse again = client.fetch("/a", range_line(2 * kMiB, 2 * kMiB + 9));
  check_part(again, scene.now(), 2 * kMiB, 2 * kMiB + 9);
  CHECK(again.field("cache-status").starts_with("Vignette; hit"));
  CHECK(scene.origin.calls() == 2);
}

TEST_CASE("What of a range is stored is not fetched again") {
  LargeScene scene(6 * kMiB);
  RawClient client = scene.client();
  client.fetch("/a", range_line(2 * kMiB, 2 * kMiB));
  REQUIRE(scene.wait_for_chunks(2));
  RawResponse part = client.fetch("/a", range_line(kMiB, 5 * kMiB - 1));
  check_part(part, scene.now(), kMiB, 5 * kMiB - 1);
  CHECK(has(part, "fwd=partial"));
  CHECK(has(part, "fetching 3 of 4 chunks"));
  CHECK(scene.asked() == std::vector<std::string>{"bytes=0-1048575", "bytes=2097152-3145727",
                                                  "bytes=1048576-2097151", "bytes=3145728-5242879"});
  check_whole(client.fetch("/a"), scene.now());
  CHECK(scene.asked().back() == "bytes=5242880-6291455");
  REQUIRE(scene.wait_for_chunks(6));
  CHECK(client.fetch("/a").field("cache-status").starts_with("Vignette; hit"));
  CHECK(scene.origin.calls() == 5);
  scene.node.settle();
  CHECK(scene.node.metric("vignette_cache_requests_total", "outcome=\"partial\"") == 2);
}

TEST_CASE("A range of a small cold object makes an ordinary object of the first answer") {
  for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{1000}, kMiB - 1, kMiB}) {
    LargeScene scene(size);
    RawClient client = scene.client();
    check_part(client.fetch("/a", range_line(0, 99)), scene.now(), 0, 99);
    check_whole(client.fetch("/a"), scene.now());
    CHECK(scene.asked() == std::vector<std::string>{"bytes=0-1048575"});
    CHECK(scene.node.metric("vignette_chunks_fetched_total") == 0);
  }
}

TEST_CASE("Parts around the borders of chunks are the bytes that the origin has there") {
  for (const std::uint64_t size : {kMiB - 1, kMiB, kMiB + 1, 2 * kMiB, 2 * kMiB + 1, 3 * kMiB - 1}) {
    LargeScene scene(size);
    RawClient client = scene.client();
    int path = 0;
    for (const bool is_cold : {true, false}) {
      for (std::uint64_t border = 0; border <= size + 1000; border += kMiB) {
        for (const std::uint64_t before : {0UL, 1UL, 500UL, 999UL, 1000UL}) {
          const std::uint64_t first = border >= before ? border - before : 0;
          if (first >= size) continue;
          const std::string target = is_cold ? "/cold" + std::to_string(path++) : "/warm";
          check_part(client.fetch(target, range_line(first, first + 999)), scene.now(), first, first + 999);
        }
      }
      const std::string target = is_cold ? "/cold-end" : "/warm";
      check_part(client.fetch(target, "Range: bytes=-1000\r\n"), scene.now(), size - 1000, size - 1);
      check_part(client.fetch(target, range_line(size - 1, size + 5)), scene.now(), size - 1, size - 1);
      CHECK(client.fetch(target, "Range: bytes=" + std::to_string(size) + "-\r\n").status == 416);
      check_whole(client.fetch(target), scene.now());
    }
  }
}

TEST_CASE("A reader that has begun is cut when the object changes; the next one gets the new one whole") {
  for (const auto how : {LargeOrigin::OnMismatch::refuse, LargeOrigin::OnMismatch::other_part}) {
    LargeScene scene(4 * kMiB);
    scene.on_mismatch = how;
    RawClient client = scene.client();
    const LargeObject old = scene.now();
    check_part(client.fetch("/a", range_line(0, 9)), old, 0, 9);
    scene.change(4 * kMiB);
    RawResponse cut = client.fetch("/a");
    CHECK_FALSE(cut.complete);
    CHECK(cut.body.size() <= kMiB);
    CHECK((cut.body == old.bytes(0, kMiB - 1).substr(0, cut.body.size())));
    RawClient next = scene.client();
    check_whole(next.fetch("/a"), scene.now());
    REQUIRE(scene.wait_for_chunks(5));
    CHECK(next.fetch("/a").field("cache-status").starts_with("Vignette; hit"));
    CHECK(scene.node.metric("vignette_large_changed_total") == 1);
  }
}

TEST_CASE("A change that is seen before anything was sent costs nobody an answer") {
  for (const std::uint64_t size : {5 * kMiB, 2 * kMiB, std::uint64_t{100}}) {
    LargeScene scene(4 * kMiB);
    RawClient client = scene.client();
    client.fetch("/a", range_line(0, 9));
    scene.change(size);
    RawResponse answer = client.fetch("/a", range_line(3 * kMiB, 3 * kMiB + 9));
    if (size > 3 * kMiB) {
      check_part(answer, scene.now(), 3 * kMiB, 3 * kMiB + 9);
    } else {
      CHECK(answer.status == 416);
    }
    check_whole(client.fetch("/a"), scene.now());
  }
}

TEST_CASE("An origin that has forgotten ranges is read from its beginning") {
  LargeScene scene(4 * kMiB);
  RawClient client = scene.client();
  client.fetch("/a", range_line(0, 9));
  scene.serves_ranges = false;
  check_part(client.fetch("/a", range_line(2 * kMiB, 3 * kMiB)), scene.now(), 2 * kMiB, 3 * kMiB);
  scene.change(4 * kMiB);
  check_part(client.fetch("/a", range_line(0, 9)), LargeObject{4 * kMiB, 1}, 0, 9);
}

TEST_CASE("A server that never spoke of ranges is asked for none but the first") {
  LargeScene scene(3 * kMiB);
  scene.serves_ranges = false;
  scene.says_ranges = false;
  RawClient client = scene.client();
  check_part(client.fetch("/a", range_line(2 * kMiB, 2 * kMiB + 9)), scene.now(), 2 * kMiB, 2 * kMiB + 9);
  check_whole(client.fetch("/a"), scene.now());
  CHECK(scene.asked() == std::vector<std::string>{"bytes=0-1048575"});
  CHECK(scene.node.metric("vignette_chunks_fetched_total") == 0);
}

TEST_CASE("Without a strong tag a large object stays in one piece") {
  for (const char* tag : {"", "ETag: W/\"w\"\r\n"}) {
    LargeScene scene(3 * kMiB);
    scene.tag_line = tag;
    RawClient client = scene.client();
    RawResponse part = client.fetch("/a", range_line(2 * kMiB, 2 * kMiB + 9));
    CHECK(part.status == 206);
    CHECK((part.body == scene.now().bytes(2 * kMiB, 2 * kMiB + 9)));
    CHECK((client.fetch("/a").body == scene.now().bytes(0, 3 * kMiB - 1)));
    CHECK(client.fetch("/a").field("cache-status").starts_with("Vignette; hit"));
    CHECK(scene.asked() == std::vector<std::string>{"bytes=0-1048575", ""});
    CHECK(scene.node.metric("vignette_chunks_fetched_total") == 0);
  }
}

TEST_CASE("What may not be stored is not cut into chunks") {
  LargeScene scene(3 * kMiB);
  scene.lines = "Cache-Control: private, max-age=60\r\n";
  RawClient client = scene.client();
  check_part(client.fetch("/a", range_line(2 * kMiB, 2 * kMiB + 9)), scene.now(), 2 * kMiB, 2 * kMiB + 9);
  check_whole(client.fetch("/a"), scene.now());
  CHECK(scene.node.metric("vignette_chunks_fetched_total") == 0);
}

TEST_CASE("A client that leaves takes nobody along: the object is fetched to its end, once") {
  LargeScene scene(6 * kMiB);
  Gate gate;
  scene.pause_at(kMiB + 1000, gate);
  {
    RawClient leaving = scene.client();
    leaving.get("/a");
    REQUIRE(scene.origin.wait_for_calls(1));
    leaving.reset();
  }
  RawClient staying = scene.client();
  staying.get("/a");
  gate.open();
  check_whole(staying.read(), scene.now());
  CHECK(scene.origin.calls() == 1);
}

TEST_CASE("Readers at different speeds, and of parts ahead, follow one fetch") {
  LargeScene scene(7 * kMiB + 5, "", {.workers = 2});
  Gate gate;
  scene.pause_at(2 * kMiB + 77, gate);
  std::vector<RawClient> readers;
  for (int i = 0; i < 6; ++i) readers.push_back(scene.client());
  readers[0].get("/a");
  REQUIRE(scene.origin.wait_for_calls(1));
  REQUIRE(scene.wait_for_chunks(2));
  readers[1].get("/a");
  readers[2].get("/a", "Range: bytes=-1000\r\n");
  readers[3].get("/a", range_line(5 * kMiB - 3, 5 * kMiB + 3));
  readers[4].get("/a", range_line(2 * kMiB - 3, 2 * kMiB + 3));
  readers[5].get("/a");
  check_part(readers[4].read(), scene.now(), 2 * kMiB - 3, 2 * kMiB + 3);
  gate.open();
  // The others stand still meanwhile.
  check_whole(readers[5].read(), scene.now());
  check_part(readers[3].read(), scene.now(), 5 * kMiB - 3, 5 * kMiB + 3);
  check_part(readers[2].read(), scene.now(), scene.now().size - 1000, scene.now().size - 1);
  check_whole(readers[1].read(), scene.now());
  check_whole(readers[0].read(), scene.now());
  CHECK(scene.asked() == std::vector<std::string>{""});
}

TEST_CASE("A 304 makes a manifest fresh again, and its chunks stay") {
  LargeScene scene(3 * kMiB);
  scene.lines = "Cache-Control: max-age=1, stale-while-revalidate=0\r\nAge: 50\r\n";
  RawClient client = scene.client();
  check_whole(client.fetch("/a"), scene.now());
  scene.lines = "Cache-Control: max-age=600\r\n";
  RawResponse revalidated = client.fetch("/a", range_line(kMiB, kMiB + 9));
  check_part(revalidated, scene.now(), kMiB, kMiB + 9);
  CHECK(has(revalidated, "fwd-status=304"));
  check_whole(client.fetch("/a"), scene.now());
  CHECK(scene.origin.calls() == 2);
  CHECK(scene.node.metric("vignette_chunks_fetched_total") == 3);
}

TEST_CASE("A stale manifest whose object has changed gives way to the new one") {
  LargeScene scene(3 * kMiB);
  scene.lines = "Cache-Control: max-age=1, stale-while-revalidate=0\r\nAge: 50\r\n";
  RawClient client = scene.client();
  check_whole(client.fetch("/a"), scene.now());
  scene.change(3 * kMiB);
  check_whole(client.fetch("/a"), scene.now());
  scene.change(2 * kMiB + 7);
  check_part(client.fetch("/a", range_line(2 * kMiB, 2 * kMiB + 9)), scene.now(), 2 * kMiB, 2 * kMiB + 9);
}

TEST_CASE("A stale large object stands in for an origin that fails") {
  LargeScene scene(3 * kMiB);
  scene.lines = "Cache-Control: max-age=1, stale-while-revalidate=0, stale-if-error=600\r\nAge: 50\r\n";
  RawClient client = scene.client();
  check_whole(client.fetch("/a"), scene.now());
  scene.is_broken = true;
  RawResponse stale = client.fetch("/a");
  check_whole(stale, scene.now());
  CHECK(has(stale, "stale-if-error"));
}

TEST_CASE("A large object whose missing parts cannot be had is no hit") {
  LargeScene scene(3 * kMiB);
  RawClient client = scene.client();
  check_part(client.fetch("/a", range_line(0, 9)), scene.now(), 0, 9);
  scene.is_broken = true;
  RawResponse refused = client.fetch("/a", range_line(2 * kMiB, 2 * kMiB + 9));
  CHECK(refused.status == 503);
  CHECK_FALSE(has(refused, "hit"));
  CHECK_FALSE(has(refused, "stored"));
  CHECK(scene.node.metric("vignette_cache_requests_total", "hit") == 0);
  CHECK(scene.node.metric("vignette_cache_requests_total", "partial") == 0);
}

TEST_CASE("A fetch that breaks off is gone on with where it stopped") {
  LargeScene scene(4 * kMiB);
  scene.cut_once_at = 2 * kMiB + 1234;
  check_whole(scene.client().fetch("/a"), scene.now());
  CHECK(scene.asked() == std::vector<std::string>{"", "bytes=2097152-4194303"});
}

TEST_CASE("Variants of a large object have chunks of their own") {
  LargeScene scene(2 * kMiB + 1);
  scene.lines = "Cache-Control: max-age=600\r\nVary: Accept-Language\r\n";
  RawClient client = scene.client();
  check_whole(client.fetch("/a", "Accept-Language: de\r\n"), scene.now());
  check_whole(client.fetch("/a", "Accept-Language: en\r\n"), scene.now());
  REQUIRE(scene.wait_for_chunks(6));
  CHECK(scene.origin.calls() == 2);
  for (const char* language : {"de", "en"}) {
    RawResponse hit = client.fetch("/a", "Accept-Language: "s + language + "\r\n");
    check_whole(hit, scene.now());
    CHECK(has(hit, "; hit"));
  }
  CHECK(scene.origin.calls() == 2);
}

TEST_CASE("An object that the memory tier cannot hold at once is read in parts") {
  LargeScene scene(96 * kMiB);
  RawClient client = scene.client();
  check_part(client.fetch("/a", range_line(50 * kMiB, 50 * kMiB + 99)), scene.now(), 50 * kMiB,
             50 * kMiB + 99);
  REQUIRE(scene.wait_for_chunks(2));
  RawResponse again = client.fetch("/a", range_line(50 * kMiB, 50 * kMiB + 99));
  check_part(again, scene.now(), 50 * kMiB, 50 * kMiB + 99);
  CHECK(has(again, "; hit"));
  CHECK(scene.origin.calls() == 2);
}

TEST_CASE(
    "Random ranges of changing objects read on two workers are never anything but one version's bytes") {
  LargeScene scene(4 * kMiB + 321, kOn, {.workers = 2});
  constexpr int kThreads = 4;
  constexpr int kReads = 25;
  std::atomic<int> wrong{0};
  std::atomic<int> whole{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      std::mt19937_64 random(static_cast<std::uint64_t>(thread) + 1);
      for (int i = 0; i < kReads; ++i) {
        RawClient client = scene.client();
        const std::string target = "/" + std::to_string(random() % 3);
        const std::uint64_t first = random() % (4 * kMiB);
        const std::uint64_t last = first + random() % (2 * kMiB);
        const bool is_range = random() % 4 != 0;
        if (random() % 16 == 0) scene.change(4 * kMiB + 1 + random() % kMiB);
        RawResponse answer = client.fetch(target, is_range ? range_line(first, last) : "");
        // One that meets a change each time it begins anew is given up, before a byte of it.
        if (answer.status == 502 || answer.status == 503) continue;
        if (answer.status != 200 && answer.status != 206) {
          ++wrong;
          continue;
        }
        const LargeObject version = LargeObject::of_etag(answer.field("etag"));
        const std::uint64_t from = answer.status == 206 ? first : 0;
        const std::uint64_t to = answer.status == 206 ? std::min(last, version.size - 1) : version.size - 1;
        const std::string expected = version.bytes(from, to);
        if (answer.complete ? answer.body != expected : !expected.starts_with(answer.body)) ++wrong;
        whole += answer.complete ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(whole > kThreads * kReads / 2);
}
