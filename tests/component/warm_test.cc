// Warming as scenes: what the node is told to have, by URL or by another node's hot list, and what comes back
// into memory after a restart.
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "cache/warm/hot_file.h"
#include "imaging/url.h"
#include "tests/component/large_origin.h"
#include "tests/component/scene.h"

namespace vignette::test {
namespace {

constexpr const char* kLong = "Cache-Control: max-age=86400\r\n";

std::string answer_to(Scene& scene, const std::string& path, const std::string& fields = "") {
  RawClient client = scene.client();
  client.send("GET " + path + " HTTP/1.1\r\nHost: a.test\r\n" + fields + "\r\n");
  return client.read().field("cache-status");
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

std::set<std::string> keys_of(cache::TieredStore& store) {
  std::set<std::string> keys;
  for (const cache::HotEntry& entry : cache::hottest(store, cache::kMaxHotEntries))
    keys.insert(entry.key_string);
  return keys;
}

// Keys of the hot list as another node is asked for them.
std::vector<std::string> orders_from(TestNode& node) {
  std::vector<std::string> orders;
  for (const cache::HotEntry& entry : cache::hottest(node.store(), cache::kMaxHotEntries)) {
    if (entry.kind == cache::HotKind::response) orders.push_back(cache::escape_key(entry.key_string));
  }
  return orders;
}

// Each is in the cache of the node afterwards.
void warm_all(TestNode& node, const std::vector<std::string>& orders) {
  for (const std::string& order : orders) {
    INFO(order);
    CHECK(node.warm(order) == R"(200 {"outcome":"stored","status":200})");
  }
}

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

// A node with a disk and its hot list in a folder, which outlive it.
struct Restarting {
  TestNode::Options options() const {
    TestNode::Options options;
    options.disk.disks = {{folder.path() + "/disk", 16 << 20}};
    options.disk.segment_bytes = 1 << 20;
    options.hot_folder = folder.path();
    return options;
  }
  std::unique_ptr<TestNode> start(const std::string& top = "") const {
    return std::make_unique<TestNode>(proxy_config(origin, "cache = \"on\"", top), options());
  }
  static bool wait_until_read(TestNode& node) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (node.hot_keeper().progress().phase != proxy::HotKeeper::Phase::done) {
      if (std::chrono::steady_clock::now() > limit) return false;
      std::this_thread::yield();
    }
    return true;
  }
  void write_list(std::string_view text) const { folder.write("hot.list", text); }

  ScriptedOrigin origin{always(kLong, pattern(3000))};
  TempDir folder;
};

}  // namespace

TEST_CASE("a URL is fetched once, for the clients that come later") {
  Scene scene(always(kLong, "hello"));
  CHECK(scene.node.warm("http://a.test/x?q=1") == R"(200 {"outcome":"stored","status":200})");
  CHECK(has(answer_to(scene, "/x?q=1"), "hit"));
  CHECK(scene.node.warm("http://a.test/x?q=1") == R"(200 {"outcome":"hit","status":200})");
  CHECK(scene.origin.calls() == 1);
  CHECK(scene.node.metric("vignette_requests_total") <= 1);
}

TEST_CASE("the fields behind a URL choose its variant") {
  Scene scene(always(std::string(kLong) + "Vary: Accept-Encoding, X-Kind\r\n", "hello"));
  const std::string fields = "Accept-Encoding: gzip, deflate, br\nX-Kind: one\n";
  CHECK(scene.node.warm("http://a.test/x\n" + fields) == R"(200 {"outcome":"stored","status":200})");
  CHECK(has(answer_to(scene, "/x", "Accept-Encoding: br, gzip\r\nX-Kind: one\r\n"), "hit"));
  CHECK(has(answer_to(scene, "/x", "Accept-Encoding: br, gzip\r\nX-Kind: two\r\n"), "fwd=vary-miss"));
}

TEST_CASE("what cannot be kept says why, and what never could is not asked for") {
  const auto script = [](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.target == "/gone") return send(ScriptedOrigin::answer(404, kLong, "no"));
    if (call.target == "/private")
      return send(ScriptedOrigin::answer(200, "Cache-Control: private\r\n", "me"));
    return send(ScriptedOrigin::answer(200, kLong, "yes"));
  };
  Scene scene(script);
  CHECK(scene.node.warm("http://a.test/gone") ==
        R"(200 {"outcome":"failed","status":404,"reason":"answered 404"})");
  CHECK(scene.node.warm("http://a.test/private") ==
        "200 {\"outcome\":\"failed\",\"status\":200,\"reason\":\"not stored (private)\"}");
  CHECK(has(scene.node.warm("nonsense"), "400 {\"error\""));
  Scene off(always(kLong, "x"), "cache = \"off\"");
  CHECK(off.node.warm("http://a.test/x") == R"(200 {"outcome":"failed","status":0,"reason":"never stored"})");
  CHECK(off.origin.calls() == 0);
}

TEST_CASE("an origin that fails fails the order, and a stale answer is no fetch") {
  std::atomic<bool> is_broken{false};
  const auto script = [&](const OriginCall&, const ScriptedOrigin::Send& send) {
    if (is_broken) return false;
    return send(
        ScriptedOrigin::answer(200, "Cache-Control: max-age=0, stale-if-error=600\r\nETag: \"1\"\r\n", "x"));
  };
  Scene scene(script);
  is_broken = true;
  CHECK(has(scene.node.warm("http://a.test/x"), "\"outcome\":\"failed\",\"status\":502"));
}

TEST_CASE("rules about who may ask do not keep the node from warming, and hold for clients as before") {
  Scene scene(always(kLong, "hello"), "allow = [\"10.0.0.0/8\"]");
  RawClient client = scene.client();
  CHECK(client.fetch("/x").status == 403);
  CHECK(scene.node.warm("http://test.local/x") == R"(200 {"outcome":"stored","status":200})");
  CHECK(client.fetch("/x").status == 403);
  CHECK(scene.origin.calls() == 1);
}

TEST_CASE("what the node may ask unsigned stays forbidden for clients") {
  const TempDir photos;
  photos.write("cat.jpg", std::string("\xFF\xD8\xFF\xE0 not much of a photo", 24));
  photos.write("k1.secret", std::string(32, 's'));
  TestNode node("[[listener]]\naddress = \"127.0.0.1:0\"\n[images]\nkeys = [{ id = \"k1\", secret_file = \"" +
                photos.path() + "/k1.secret\" }]\n[origin.photos]\ndirectory = \"" + photos.path() +
                "\"\n[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/i/*\"\nimages = \"photos\"\n");
  RawClient client(node.port());
  const std::string url = "/i/-/original/cat.jpg";
  CHECK(client.fetch(url).status == 403);
  CHECK(node.warm("/cat.jpg\\n@original=photos") == R"(200 {"outcome":"stored","status":200})");
  CHECK(node.warm("http://test.local" + url) == R"(200 {"outcome":"hit","status":200})");
  CHECK(client.fetch(url).status == 403);
  const imaging::SigningKey key{"k1", std::string(32, 's')};
  const auto answer =
      client.fetch("/i/" + imaging::ImageUrls::sign(key, "original/cat.jpg", std::nullopt, false));
  CHECK(answer.status == 200);
  CHECK(has(answer.field("cache-status"), "hit"));
}

TEST_CASE("another node's hot list brings the same objects under the same keys, each fetched once") {
  std::mutex mutex;
  std::map<std::string, int> fetched;
  const auto script = [&](const OriginCall& call, const ScriptedOrigin::Send& send) {
    {
      const std::lock_guard lock(mutex);
      ++fetched[call.target + " " + call.field("accept-encoding") + call.field("x-kind")];
    }
    const std::string vary = call.target.starts_with("/varied") ? "Vary: Accept-Encoding, X-Kind\r\n" : "";
    return send(ScriptedOrigin::answer(200, kLong + vary, call.target));
  };
  const ScriptedOrigin origin(script);
  const std::string config = proxy_config(
      origin, "[site.route.cache]\nmode = \"on\"\nkey = { headers = [\"x-app\"], cookies = [\"theme\"] }\n");
  TestNode old_node(config), new_node(config);
  const std::vector<std::string> requests = {
      "GET /plain HTTP/1.1\r\nHost: a.test\r\n\r\n",
      "GET /q?b=2&a=%20x HTTP/1.1\r\nHost: A.test:8080\r\n\r\n",
      "GET /varied HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: gzip, br;q=0.5, deflate\r\nX-Kind: "
      "one\r\n\r\n",
      "GET /varied HTTP/1.1\r\nHost: a.test\r\nX-Kind: two\r\n\r\n",
      "GET /themed HTTP/1.1\r\nHost: a.test\r\nX-App: v2\r\nCookie: id=7; theme=dark\r\n\r\n"};
  for (const std::string& request : requests) {
    RawClient client(old_node.port());
    for (int i = 0; i < 2; ++i) {
      client.send(request);
      CHECK(client.read().status == 200);
    }
  }
  const std::vector<std::string> orders = orders_from(old_node);
  CHECK(orders.size() == requests.size());
  warm_all(new_node, orders);
  CHECK(keys_of(new_node.store()) == keys_of(old_node.store()));
  for (const std::string& request : requests) {
    RawClient client(new_node.port());
    client.send(request);
    INFO(request);
    CHECK(has(client.read().field("cache-status"), "hit"));
  }
  CHECK(fetched.size() == requests.size());
  for (const auto& [what, times] : fetched) {
    INFO(what);
    CHECK(times == 2);  // once by each node
  }
}

TEST_CASE("chunks of a large object come by themselves") {
  LargeOrigin large(5 * kMiB + 1234);
  const ScriptedOrigin origin(large.script());
  const std::string config = proxy_config(origin, "cache = \"on\"");
  TestNode old_node(config), new_node(config);
  RawClient client(old_node.port());
  CHECK(client.fetch("/film", "Range: bytes=0-99\r\n").status == 206);
  CHECK(client.fetch("/film", "Range: bytes=5242890-5242899\r\n").status == 206);
  // The last byte of a chunk is sent before the chunk is kept.
  std::vector<std::string> orders;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while ((orders = orders_from(old_node)).size() < 2 && std::chrono::steady_clock::now() < limit) {
    std::this_thread::yield();
  }
  REQUIRE(orders.size() == 2);
  const int before = origin.calls();
  // The hotter one comes first, which of two alike is open. A later chunk brings the first one with it: that
  // is where the object's size is learned.
  for (const std::string& order : orders) {
    const std::string answer = new_node.warm(order);
    INFO(order << ": " << answer);
    const bool came_along = order.ends_with("chunk=0") && has(answer, "\"outcome\":\"hit\"");
    CHECK((came_along || has(answer, "\"outcome\":\"stored\"")));
  }
  CHECK(keys_of(new_node.store()) == keys_of(old_node.store()));
  const int fetched = origin.calls() - before;
  CHECK(fetched <= 3);
  RawClient other(new_node.port());
  const RawResponse part = other.fetch("/film", "Range: bytes=5242890-5242899\r\n");
  CHECK(part.status == 206);
  CHECK(part.body == large.now().bytes(5242890, 5242899));
  CHECK(origin.calls() - before == fetched);
}

TEST_CASE("a key that this node does not make fails and says so") {
  Scene scene(always(kLong, "hello"), "[site.route.cache]\nmode = \"on\"\nkey = { query = \"none\" }\n");
  CHECK(scene.node.warm("a.test/x?q=1\\nhttp") ==
        R"(200 {"outcome":"failed","status":200,"reason":"the answer is kept under another key"})");
  CHECK(has(scene.node.warm("/x\\n@original=photos"), "400 {\"error\":\"no route leads to this of origin"));
}

TEST_CASE("after a restart memory has what it had, without a request and without the origin") {
  const Restarting restarting;
  std::set<std::string> keys;
  {
    auto node = restarting.start();
    REQUIRE(Restarting::wait_until_read(*node));
    RawClient client(node->port());
    for (int i = 0; i < 40; ++i) {
      for (int k = 0; k <= i % 5; ++k) client.fetch("/" + std::to_string(i));
    }
    keys = keys_of(node->store());
  }
  CHECK(keys.size() == 40);
  auto node = restarting.start();
  REQUIRE(Restarting::wait_until_read(*node));
  CHECK(keys_of(node->store()) == keys);
  const proxy::HotKeeper::Progress progress = node->hot_keeper().progress();
  CHECK(progress.restore.listed == 40);
  CHECK(progress.restore.objects == 40);
  CHECK_FALSE(progress.restore.is_full);
  CHECK(node->store().stats().hits == 0);
  RawClient client(node->port());
  for (int i = 0; i < 40; ++i) {
    const RawResponse answer = client.fetch("/" + std::to_string(i));
    CHECK((answer.body == pattern(3000)));
    CHECK(has(answer.field("cache-status"), "hit"));
    CHECK_FALSE(has(answer.field("cache-status"), "disk"));
  }
  CHECK(restarting.origin.calls() == 40);
  CHECK(has(node->log_text(), "hot list: 40 of 40 objects read into memory"));
}

TEST_CASE("a smaller memory gets the hottest, and what clients bring does not go for the rest") {
  const Restarting restarting;
  {
    auto node = restarting.start();
    REQUIRE(Restarting::wait_until_read(*node));
    RawClient client(node->port());
    for (int i = 0; i < 600; ++i) {
      for (int k = 0; k < (i < 100 ? 3 : 1); ++k) client.fetch("/" + std::to_string(i));
    }
  }
  auto node = restarting.start("[cache]\nmemory = \"1MiB\"\n");
  REQUIRE(Restarting::wait_until_read(*node));
  CHECK(node->hot_keeper().progress().restore.is_full);
  const cache::StoreStats stats = node->store().stats();
  CHECK(stats.evictions_small + stats.evictions_main == 0);
  CHECK(stats.used_bytes <= stats.budget_bytes);
  CHECK(stats.objects > 100);
  RawClient client(node->port());
  for (int i = 0; i < 100; ++i) {
    CHECK_FALSE(has(client.fetch("/" + std::to_string(i)).field("cache-status"), "disk"));
  }
  CHECK(restarting.origin.calls() == 600);
}

TEST_CASE("a damaged hot list is one line of the log, and memory fills by requests") {
  const Restarting restarting;
  {
    auto node = restarting.start();
    REQUIRE(Restarting::wait_until_read(*node));
    RawClient(node->port()).fetch("/a");
  }
  restarting.write_list("vignette hot list 1\n1 2 o test.local/a\\nhttp\nend 1 0000000000000000\n");
  auto node = restarting.start();
  REQUIRE(Restarting::wait_until_read(*node));
  CHECK(count(node->log_text(), "hot list in ") == 1);
  CHECK(has(node->log_text(), "the hot list is damaged; memory goes on without it"));
  CHECK(node->store().stats().objects == 0);
  CHECK(node->hot_keeper().progress().faults == 1);
  CHECK(has(RawClient(node->port()).fetch("/a").field("cache-status"), "disk"));
}

TEST_CASE("what was purged meanwhile does not come back by the hot list") {
  const Restarting restarting;
  auto node = restarting.start();
  REQUIRE(Restarting::wait_until_read(*node));
  RawClient(node->port()).fetch("/a");
  RawClient(node->port()).fetch("/b");
  CHECK(has(node->purge(R"({"url": "http://test.local/a"})"), "200 "));
  CHECK(keys_of(node->store()).size() == 1);
}

TEST_CASE("a hot list whose objects are gone, or a node that reads none back, costs nothing") {
  const Restarting restarting;
  const std::vector<cache::HotEntry> entries(3, {1, 2, cache::HotKind::response, "test.local/none\nhttp"});
  restarting.write_list(cache::write_hot_list(entries));
  {
    auto node = restarting.start();
    REQUIRE(Restarting::wait_until_read(*node));
    CHECK(node->hot_keeper().progress().restore.looked_at == 3);
    CHECK(node->hot_keeper().progress().restore.objects == 0);
  }
  auto node = restarting.start("[cache]\nwarm_per_second = \"0B\"\n");
  REQUIRE(Restarting::wait_until_read(*node));
  CHECK(node->hot_keeper().progress().restore.listed == 0);
  CHECK(restarting.origin.calls() == 0);
}

}  // namespace vignette::test
