// The disk tier through the whole node: what memory has let go is read back before anybody is asked, and what
// goes wrong with a disk costs objects, never an answer. Disks are FaultyDisk, but for one scene.
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "cache/key.h"
#include "tests/component/scene.h"
#include "tests/support/faulty_disk.h"

using namespace vignette;
using namespace vignette::test;
using cache::DiskCount;
using cache::DiskState;
using cache::FaultyDisk;
using Op = FaultyDisk::Op;

namespace {

constexpr std::size_t kPhotoBytes = 50'000;
constexpr int kPhotos = 60;  // three times what memory holds
constexpr std::string_view kSmallMemory = "[cache]\nmemory = \"1MiB\"\n";
constexpr std::string_view kLongLived = "Cache-Control: max-age=3600\r\n";

std::string path_of(int number) { return "/" + std::to_string(number); }
std::string photo(std::string_view target) { return std::string(target) + pattern(kPhotoBytes); }

// A photo of its own under each target; 304 with `validated` to whoever has it.
ScriptedOrigin::Script photos(std::string lines, std::string validated) {
  return [lines, validated](const OriginCall& call, const ScriptedOrigin::Send& send) {
    const std::string etag = "ETag: \"" + std::string(call.target) + "\"\r\n";
    if (!call.field("if-none-match").empty()) {
      return send("HTTP/1.1 304 Not Modified\r\n" + etag + validated + "\r\n");
    }
    return send(ScriptedOrigin::answer(200, etag + lines, photo(call.target)));
  };
}
ScriptedOrigin::Script photos() { return photos(std::string(kLongLived), std::string(kLongLived)); }

TestNode::Options with_disks(const std::vector<FaultyDisk>& disks, unsigned workers = 1) {
  TestNode::Options options;
  options.workers = workers;
  options.access_log = true;
  for (std::size_t i = 0; i < disks.size(); ++i) options.disk.disks.push_back({std::to_string(i), 16 << 20});
  options.disk.segment_bytes = 1 << 20;
  options.disk.probe_every = std::chrono::milliseconds(5);
  options.disk.open_directory = [disks](const std::string& path) {
    return disks.at(static_cast<std::size_t>(std::stoi(path))).open_folder();
  };
  return options;
}

// Bounded: what never comes true fails the scene.
template <typename Condition>
void await(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    std::this_thread::yield();
  }
}

cache::DiskStats stats_of(TestNode& node) { return node.store().disk_stats(); }
std::uint64_t count_of(TestNode& node, DiskCount which) { return stats_of(node).total().count(which); }
DiskState state_of(TestNode& node, std::size_t disk = 0) { return stats_of(node).volumes.at(disk).state; }
void await_serving(TestNode& node) {
  await([&] { return stats_of(node).offline() == 0 && state_of(node) == DiskState::serving; });
}

// Asks for every photo, one after the other has been written.
void take_all(TestNode& node) {
  RawClient client(node.port());
  for (int i = 0; i < kPhotos; ++i) {
    REQUIRE(client.fetch(path_of(i)).body == photo(path_of(i)));
    node.settle();
    await([&] { return stats_of(node).total().queued_objects == 0; });
  }
}

// Photos that only the disk has, in the order in which they were written.
std::vector<std::string> only_on_disk(TestNode& node) {
  std::vector<std::string> found;
  for (int i = 0; i < kPhotos; ++i) {
    std::string name;
    const cache::Key key =
        cache::build_key({.host = "test.local", .path = path_of(i), .variant = "http"}, name);
    if (!node.store().peek(key, name) && node.store().disk()->has(key)) found.push_back(path_of(i));
  }
  return found;
}

bool says(const RawResponse& answer, std::string_view words) {
  return answer.field("cache-status").find(words) != std::string::npos;
}

// A node that has had every photo, on disks that the test can break.
struct DiskScene {
  explicit DiskScene(ScriptedOrigin::Script script = photos(), unsigned workers = 1, std::size_t count = 1)
      : disks(make_disks(count)), scene(std::move(script), "", kSmallMemory, with_disks(disks, workers)) {
    await_serving(node);
    take_all(node);
    asked = scene.origin.calls();
    away = only_on_disk(node);
    REQUIRE(away.size() > 20);
  }
  // Each is a disk of its own: copies are not.
  static std::vector<FaultyDisk> make_disks(std::size_t count) {
    std::vector<FaultyDisk> disks;
    for (unsigned i = 0; i < count; ++i) disks.push_back(FaultyDisk(i + 1));
    return disks;
  }
  RawResponse fetch(std::size_t number, std::string_view lines = "") {
    return scene.client().fetch(away.at(number), lines);
  }
  // How often the origin was asked since then.
  int fetched() const { return scene.origin.calls() - asked; }

  std::vector<FaultyDisk> disks;
  Scene scene;
  TestNode& node = scene.node;
  std::vector<std::string> away;
  int asked = 0;
};

}  // namespace

TEST_CASE("What memory has let go comes from the disk, and says so") {
  DiskScene disk;
  RawResponse answer = disk.fetch(0);
  CHECK(answer.body == photo(disk.away[0]));
  CHECK(says(answer, "Vignette; hit; ttl="));
  CHECK(says(answer, "detail=disk"));
  CHECK(disk.node.access_log().back().find("\"cache_detail\":\"disk\"") != std::string::npos);
  answer = disk.fetch(0);
  CHECK(answer.body == photo(disk.away[0]));
  CHECK_FALSE(says(answer, "detail"));
  for (int i = 0; i < kPhotos; ++i) {
    CHECK(disk.scene.client().fetch(path_of(i)).body == photo(path_of(i)));
  }
  CHECK(disk.fetched() == 0);
}

TEST_CASE("HEAD, ranges and conditions are answered from the disk") {
  DiskScene disk;
  RawResponse answer = disk.fetch(0, "Range: bytes=1-4\r\n");
  CHECK(answer.status == 206);
  CHECK(answer.body == photo(disk.away[0]).substr(1, 4));
  CHECK(says(answer, "detail=disk"));
  answer = disk.fetch(1, "If-None-Match: \"" + disk.away[1] + "\"\r\n");
  CHECK(answer.status == 304);
  CHECK(says(answer, "detail=disk"));
  RawClient client = disk.scene.client();
  client.send("HEAD " + disk.away[2] + " HTTP/1.1\r\nHost: test.local\r\n\r\n");
  answer = client.read(true);
  CHECK(answer.field("content-length") == std::to_string(photo(disk.away[2]).size()));
  CHECK(says(answer, "detail=disk"));
  CHECK(disk.fetched() == 0);
}

TEST_CASE("Many clients of one object on disk share one read of it") {
  DiskScene disk(photos(), 2);
  disk.disks[0].set_resident(false);
  const std::uint64_t reads = disk.disks[0].count(Op::read);
  std::vector<RawClient> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(disk.scene.client());
    clients.back().get(disk.away[0]);
  }
  for (RawClient& client : clients) CHECK(client.read().body == photo(disk.away[0]));
  // A client that looks while the one read ends, before memory has the object, reads it a second time.
  CHECK(disk.disks[0].count(Op::read) > reads);
  CHECK(disk.disks[0].count(Op::read) <= reads + 2);
  CHECK(disk.fetched() == 0);
}

TEST_CASE("A disk that hangs holds up only who waits for it") {
  Gate reading, go_on;  // outlive the node, whose readers may wait at them
  DiskScene disk;
  disk.disks[0].set_resident(false);
  disk.disks[0].set_hook([&](Op op) {
    if (op != Op::read) return;
    reading.open();
    go_on.wait();
  });
  RawClient waiting = disk.scene.client();
  waiting.get(disk.away[0]);
  reading.wait();
  CHECK(disk.scene.client().fetch("/new").body == photo("/new"));
  CHECK(says(disk.scene.client().fetch("/new"), "Vignette; hit; ttl="));
  go_on.open();
  CHECK(waiting.read().body == photo(disk.away[0]));
  CHECK(disk.fetched() == 1);
}

TEST_CASE("What lies stale on the disk is validated, and its new head goes there too") {
  const std::vector<FaultyDisk> disks = DiskScene::make_disks(1);
  ScriptedOrigin origin(photos("Cache-Control: max-age=0, must-revalidate\r\n", std::string(kLongLived)));
  const std::string config = proxy_config(origin, "", kSmallMemory);
  std::string stale;
  {
    TestNode node(config, with_disks(disks));
    await_serving(node);
    take_all(node);
    stale = only_on_disk(node).at(0);
    const RawResponse answer = RawClient(node.port()).fetch(stale);
    CHECK(answer.body == photo(stale));
    CHECK(says(answer, "fwd=stale; fwd-status=304"));
    CHECK(origin.calls() == kPhotos + 1);
  }
  TestNode node(config, with_disks(disks));
  await_serving(node);
  const RawResponse answer = RawClient(node.port()).fetch(stale);
  CHECK(answer.body == photo(stale));
  CHECK(says(answer, "Vignette; hit; ttl="));
  CHECK(says(answer, "detail=disk"));
  CHECK(origin.calls() == kPhotos + 1);
}

TEST_CASE("A restart keeps what is on disk") {
  const TempDir folder;
  TestNode::Options options;
  options.disk.disks = {{folder.path() + "/disk", 16 << 20}};
  options.disk.segment_bytes = 1 << 20;
  ScriptedOrigin origin(photos());
  for (int run = 0; run < 3; ++run) {
    TestNode node(proxy_config(origin, "", kSmallMemory), options);
    await_serving(node);
    take_all(node);
    CHECK(origin.calls() == kPhotos);
    CHECK((run == 0 || count_of(node, DiskCount::hits) >= kPhotos));
  }
}

TEST_CASE("A disk that is missing at the start is used when it comes") {
  std::vector<FaultyDisk> disks = DiskScene::make_disks(1);
  disks[0].fail(Op::open, ENODEV);
  Scene scene(photos(), "", kSmallMemory, with_disks(disks));
  await([&] { return state_of(scene.node) == DiskState::offline; });
  CHECK(scene.client().fetch("/0").body == photo("/0"));
  CHECK(says(scene.client().fetch("/0"), "Vignette; hit; ttl="));
  CHECK(scene.node.log_text().find("going on without it") != std::string::npos);
  disks[0].heal();
  await_serving(scene.node);
  CHECK(scene.node.log_text().find("is back") != std::string::npos);
  take_all(scene.node);
  const std::string away = only_on_disk(scene.node).at(0);
  CHECK(says(scene.client().fetch(away), "detail=disk"));
}

TEST_CASE(
    "An object that cannot be read is fetched, and five errors take the disk away until it works again") {
  DiskScene disk;
  disk.disks[0].fail(Op::read, EIO);
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(state_of(disk.node) == DiskState::serving);
    const RawResponse answer = disk.fetch(i);
    CHECK(answer.body == photo(disk.away[i]));
    CHECK(says(answer, "fwd=uri-miss"));
  }
  CHECK(disk.fetched() == 5);
  CHECK(count_of(disk.node, DiskCount::misses_error) == 5);
  CHECK(count_of(disk.node, DiskCount::taken_offline) == 1);
  CHECK(state_of(disk.node) == DiskState::offline);
  CHECK(disk.fetch(5).body == photo(disk.away[5]));
  CHECK(says(disk.fetch(5), "Vignette; hit; ttl="));  // by memory
  // The probes fail as the reads do.
  await([&] { return count_of(disk.node, DiskCount::open_errors) > 0; });
  CHECK(state_of(disk.node) == DiskState::offline);
  disk.disks[0].heal();
  await_serving(disk.node);
  const RawResponse answer = disk.fetch(20);
  CHECK(answer.body == photo(disk.away[20]));
  CHECK(says(answer, "detail=disk"));
  CHECK(disk.fetched() == 6);
}

TEST_CASE("Damaged objects are fetched again, and damage in one place does not take the disk away") {
  DiskScene disk;
  disk.disks[0].garble_reads(true);
  for (std::size_t i = 0; i < 10; ++i) CHECK(disk.fetch(i).body == photo(disk.away[i]));
  CHECK(disk.fetched() == 10);
  CHECK(count_of(disk.node, DiskCount::misses_damaged) == 10);
  CHECK(state_of(disk.node) == DiskState::serving);
  disk.disks[0].garble_reads(false);
  CHECK(says(disk.fetch(20), "detail=disk"));
  CHECK(disk.fetched() == 10);
}

TEST_CASE("A disk without room for the whole volume gives a smaller one, with a warning") {
  std::vector<FaultyDisk> disks = DiskScene::make_disks(1);
  disks[0].set_capacity(8 << 20);
  Scene scene(photos(), "", kSmallMemory, with_disks(disks));
  await_serving(scene.node);
  CHECK(scene.node.log_text().find("the disk is full; the volume has") != std::string::npos);
  CHECK(stats_of(scene.node).total().bytes < 8 << 20);
  take_all(scene.node);
  CHECK(says(scene.client().fetch(only_on_disk(scene.node).at(0)), "detail=disk"));
}

TEST_CASE("While a disk hangs, new objects are in memory only") {
  Gate go_on;  // outlives the node, whose writer may wait at it
  std::vector<FaultyDisk> disks = DiskScene::make_disks(1);
  Scene scene(photos(), "", "[cache]\nmemory = \"16MiB\"\n", with_disks(disks));
  await_serving(scene.node);
  disks[0].set_hook([&](Op op) {
    if (op == Op::write) go_on.wait();
  });
  RawClient client = scene.client();
  int number = 0;
  await([&] {
    const std::string target = path_of(number++);
    REQUIRE(client.fetch(target).body == photo(target));
    return count_of(scene.node, DiskCount::refused_queue_old) > 0;
  });
  CHECK(says(client.fetch(path_of(number - 1)), "Vignette; hit; ttl="));
  CHECK(state_of(scene.node) == DiskState::serving);
  go_on.open();
  await([&] { return stats_of(scene.node).total().queued_objects == 0; });
}

TEST_CASE("Of two disks one may fail, and the other serves what it has") {
  DiskScene disk(photos(), 1, 2);
  for (const cache::DiskVolumeStats& volume : stats_of(disk.node).volumes) {
    CHECK(volume.count(DiskCount::written) > kPhotos / 4);
  }
  disk.disks[1].fail(Op::read, EIO);
  int from_disk = 0;
  for (std::size_t i = 0; i < disk.away.size(); ++i) {
    const RawResponse answer = disk.fetch(i);
    REQUIRE(answer.body == photo(disk.away[i]));
    from_disk += says(answer, "detail=disk");
  }
  CHECK(from_disk > 5);
  CHECK(from_disk + disk.fetched() == static_cast<int>(disk.away.size()));
  CHECK(state_of(disk.node, 0) == DiskState::serving);
  CHECK(state_of(disk.node, 1) == DiskState::offline);
}
