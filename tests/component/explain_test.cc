// What the node says of a URL: where it lies, why it was missed, what comes next. And that asking changes
// nothing.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "http/date.h"
#include "proxy/admin/explain_report.h"
#include "tests/component/scene.h"

using namespace vignette;
using namespace vignette::test;
using nlohmann::json;

namespace {

constexpr const char* kUrl = "http://test.local/a";

json explain(TestNode& node, const std::string& url, const std::vector<std::string>& headers = {}) {
  node.settle();
  const std::string answer = node.explain(url, headers);
  REQUIRE(answer.starts_with("200 "));
  return json::parse(answer.substr(4));
}

std::string cause_of(const json& explained) { return explained["last_miss"]["cause"]; }
std::string text_of(const json& explained) { return explained["last_miss"]["text"]; }
std::string next_of(const json& explained) { return explained["next"]["answer"]; }

bool contains(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

// Pushes everything else out of a memory of 1 MiB.
void fill_memory(Scene& scene) {
  RawClient client = scene.client();
  for (int i = 0; i < 30; ++i) client.fetch("/filler" + std::to_string(i));
  scene.node.settle();
}

constexpr std::string_view kSmall = "[cache]\nmemory = \"1MiB\"\n";

}  // namespace

TEST_CASE("what was never asked for was never seen") {
  Scene scene(always("Cache-Control: max-age=600\r\n", "x"));
  const json explained = explain(scene.node, kUrl);
  CHECK(explained["key"] == "test.local/a");
  CHECK(explained["variant"] == json::array({"http"}));
  CHECK(explained["route"] == "*/*");
  CHECK(explained["origin"] == "app");
  CHECK(explained["tier"] == "none");
  CHECK(cause_of(explained) == "never-seen");
  CHECK(next_of(explained) == "miss");
  CHECK(scene.origin.calls() == 0);
}

TEST_CASE("a stored answer is told with its age, lifetime, rule, tags and size") {
  Scene scene(
      always("Cache-Control: max-age=600, stale-while-revalidate=30\r\nCache-Tag: red, blue\r\n"
             "ETag: \"v1\"\r\n",
             std::string(1000, 'x')));
  scene.client().fetch("/a");
  const json explained = explain(scene.node, kUrl);
  const json& object = explained["object"];
  CHECK(explained["tier"] == "memory");
  CHECK(object["status"] == 200);
  CHECK(object["bytes"] == 1000);
  CHECK(object["etag"] == "\"v1\"");
  CHECK(object["lifetime"]["seconds"] == 600);
  CHECK(object["lifetime"]["rule"] == "max-age");
  CHECK(object["lifetime"]["by"] == "max-age of Cache-Control");
  CHECK(object["remaining_seconds"].get<int>() + object["age_seconds"].get<int>() == 600);
  CHECK(object["stale_while_revalidate_seconds"] == 30);
  CHECK(object["tags"] == json::array({"red", "blue"}));
  CHECK(explained["purges"]["state"] == "alive");
  CHECK(cause_of(explained) == "never-seen");
  CHECK(next_of(explained) == "hit");
}

TEST_CASE("the route's own rule is named where the origin says nothing") {
  Scene scene(always("", "x"), "cache = { ttl = \"5m\" }");
  scene.client().fetch("/a");
  const json explained = explain(scene.node, kUrl);
  CHECK(explained["object"]["lifetime"]["by"] == "ttl of the route");
  CHECK(explained["object"]["lifetime"]["seconds"] == 300);
}

TEST_CASE("what memory let go of was evicted") {
  Scene scene(always("Cache-Control: max-age=600\r\n", std::string(50'000, 'x')), "", kSmall);
  scene.client().fetch("/a");
  fill_memory(scene);
  const json explained = explain(scene.node, kUrl);
  CHECK(explained["tier"] == "none");
  CHECK(cause_of(explained) == "evicted");
  CHECK(text_of(explained).starts_with("evicted from memory "));
  CHECK_FALSE(contains(text_of(explained), "disk"));
  CHECK(next_of(explained) == "miss");
  // Fetched again, it says what it was missed for.
  scene.client().fetch("/a");
  CHECK(cause_of(explain(scene.node, kUrl)) == "evicted");
  CHECK(next_of(explain(scene.node, kUrl)) == "hit");
}

TEST_CASE("what no disk took says why, while it is in memory and when it has gone") {
  TempDir folder;
  TestNode::Options options;
  options.disk.disks = {{folder.path() + "/disk", 16 << 20}};
  options.disk.segment_bytes = 256 * 1024;  // an object is at most a quarter of it
  Scene scene(always("Cache-Control: max-age=600\r\n", std::string(100'000, 'x')), "", kSmall, options);
  scene.client().fetch("/a");
  json explained = explain(scene.node, kUrl);
  CHECK(explained["tier"] == "memory");
  CHECK(explained["disk"]["is_there"] == false);
  CHECK((explained["disk"]["refused"] == "too-large" || explained["disk"]["refused"] == "offline"));
  fill_memory(scene);
  explained = explain(scene.node, kUrl);
  CHECK(cause_of(explained) == "evicted");
  CHECK(contains(text_of(explained), "not admitted to disk"));
}

TEST_CASE("a stale answer says since when, and by which rules it may still be used") {
  const std::string hour_ago = http::format_date(SystemClock().wall() - std::chrono::hours(1));
  Scene scene(always("Date: " + hour_ago + "\r\nCache-Control: max-age=3000\r\nETag: \"v\"\r\n", "x"));
  scene.client().fetch("/a");
  const json explained = explain(scene.node, kUrl);
  CHECK(cause_of(explained) == "stale");
  CHECK(text_of(explained).starts_with("its lifetime ended "));
  CHECK(explained["object"]["remaining_seconds"].get<int>() <= -600);
  CHECK(next_of(explained) == "revalidate");
}

TEST_CASE("a purge is told with its tag and number before it is found out, and its kind after that") {
  Scene scene(always("Cache-Control: max-age=600\r\nCache-Tag: red\r\n", "x"));
  scene.client().fetch("/a");
  const std::string receipt = scene.node.purge(R"({"tag": "red"})");
  const json id = json::parse(receipt.substr(4))["id"];
  json explained = explain(scene.node, kUrl);
  CHECK(explained["tier"] == "memory");
  CHECK(explained["purges"]["state"] == "dead");
  CHECK(explained["purges"]["by"] == "tag");
  CHECK(explained["purges"]["name"] == "red");
  CHECK(explained["purges"]["id"] == id);
  CHECK(cause_of(explained) == "purged");
  CHECK(contains(text_of(explained), "by tag red"));
  CHECK(next_of(explained) == "miss");
  scene.client().fetch("/a");
  explained = explain(scene.node, kUrl);
  CHECK(explained["purges"]["state"] == "alive");
  CHECK(cause_of(explained) == "purged");
  CHECK(contains(text_of(explained), "by tag"));
  CHECK(next_of(explained) == "hit");
}

TEST_CASE("a soft purge ends the lifetime, and says so") {
  Scene scene(always("Cache-Control: max-age=600, stale-while-revalidate=60\r\n", "x"));
  scene.client().fetch("/a");
  scene.node.purge(R"({"url": "http://test.local/a", "mode": "soft"})");
  const json explained = explain(scene.node, kUrl);
  CHECK(explained["purges"]["state"] == "stale");
  CHECK(cause_of(explained) == "stale");
  CHECK(contains(text_of(explained), "(a soft purge)"));
  CHECK(contains(text_of(explained), "made stale "));
  CHECK(contains(text_of(explained), "by its URL"));
  CHECK(next_of(explained) == "stale");
}

TEST_CASE("the headers of the question select the variant, and an unknown one is missing for Vary") {
  Scene scene(always("Cache-Control: max-age=600\r\nVary: X-Kind\r\n", "x"));
  scene.client().fetch("/a", "X-Kind: one\r\n");
  json explained = explain(scene.node, kUrl, {"X-Kind: one"});
  CHECK(explained["vary"]["fields"] == "x-kind");
  CHECK(explained["vary"]["selects"] == json::array({"x-kind:one"}));
  CHECK(explained["vary"]["known"][0]["is_stored"] == true);
  CHECK(explained["vary"]["known"][0]["is_selected"] == true);
  CHECK(next_of(explained) == "hit");
  explained = explain(scene.node, kUrl, {"x-kind:  two"});
  CHECK(explained["tier"] == "none");
  CHECK(explained["vary"]["known"][0]["is_selected"] == false);
  CHECK(cause_of(explained) == "vary");
  CHECK(next_of(explained) == "miss");
}

TEST_CASE("an answer that is not for others says why, and for how long requests go side by side") {
  Scene scene(always("Cache-Control: private\r\n", "x"));
  scene.client().fetch("/a");
  const json explained = explain(scene.node, kUrl);
  CHECK(cause_of(explained) == "hit-for-miss");
  CHECK(contains(text_of(explained), "was not stored: private"));
  CHECK(explained["hit_for_miss_seconds"].get<int>() > 100);
  CHECK(explained["hit_for_miss_seconds"].get<int>() <= 120);
  CHECK(next_of(explained) == "miss");
  CHECK(contains(explained["next"]["text"], "not shared"));
}

TEST_CASE("a fill that is under way is told, and what failed") {
  Gate gate;
  Scene scene([&gate](const OriginCall& call, const ScriptedOrigin::Send& send) {
    if (call.target == "/broken") return false;
    send("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    gate.wait();
    return send("0\r\n\r\n");
  });
  RawClient client = scene.client();
  client.get("/a");
  REQUIRE(scene.origin.wait_for_calls(1));
  const json explained = explain(scene.node, kUrl);
  CHECK(explained["tier"] == "filling");
  CHECK(explained["fill"]["since_seconds"].get<int>() >= 0);
  CHECK(next_of(explained) == "join");
  gate.open();
  CHECK(client.read().body == "abc");
  CHECK(next_of(explain(scene.node, kUrl)) == "hit");
  scene.client().fetch("/broken");
  const json broken = explain(scene.node, "http://test.local/broken");
  CHECK(cause_of(broken) == "failed");
  CHECK(contains(text_of(broken), "failed: "));
}

TEST_CASE("a route without a cache passes everything on") {
  Scene scene(always("Cache-Control: max-age=600\r\n", "x"), "cache = \"off\"");
  scene.client().fetch("/a");
  CHECK(next_of(explain(scene.node, kUrl)) == "pass");
}

TEST_CASE("what the route's key is made of is in the question, too") {
  Scene scene(always("Cache-Control: max-age=600\r\n", "x"),
              "cache = { mode = \"explicit\", key = { query = [\"p\"], headers = [\"X-Kind\"], cookies = "
              "[\"c\"] } }");
  scene.client().fetch("/a?utm=1&p=2", "X-Kind: one\r\nCookie: c=3; d=4\r\n");
  const json explained =
      explain(scene.node, "http://test.local/a?p=2&utm=7", {"X-Kind: one", "Cookie: d=9; c=3"});
  CHECK(explained["key"] == "test.local/a?p=2");
  CHECK(next_of(explained) == "hit");
  CHECK(next_of(explain(scene.node, "http://test.local/a?p=2", {"X-Kind: one"})) == "miss");
  CHECK(next_of(explain(scene.node, "https://test.local/a?p=2", {"X-Kind: one", "Cookie: c=3"})) == "miss");
}

TEST_CASE("a picture is explained with the photo that it is made from") {
  TempDir folder;
  folder.write("cats/tom.jpg", "not looked at");
  TestNode node(
      "[[listener]]\naddress = \"127.0.0.1:0\"\n[images]\nunsigned = \"on\"\n"
      "[origin.photos]\ndirectory = \"" +
      folder.path() +
      "\"\n[[site]]\nhosts = [\"*\"]\n[[site.route]]\npath = \"/i/*\"\nimages = \"photos\"\n"
      "[[site.route]]\npath = \"/o/*\"\norigin = \"photos\"\nstrip_prefix = true\n");
  const std::string url = "http://test.local/i/-/w=320/cats/tom.jpg";
  json explained = explain(node, url, {"Accept: image/webp"});
  CHECK(explained["route"] == "*/i/*");
  CHECK(explained["key"] == "/cats/tom.jpg");
  CHECK(explained["original"]["key"] == "/cats/tom.jpg");
  CHECK(explained["original"]["tier"] == "none");
  CHECK(explained["variant"] != explain(node, url)["variant"]);
  RawClient(node.port()).fetch("/o/cats/tom.jpg");
  explained = explain(node, url);
  CHECK(explained["tier"] == "none");
  CHECK(explained["original"]["tier"] == "memory");
  CHECK(explained["original"]["object"]["lifetime"]["rule"] == "ttl");
  CHECK(contains(explained["next"]["text"], "made from the photo in the cache (memory)"));
  CHECK(explain(node, "http://test.local/o/cats/tom.jpg")["tier"] == "memory");
}

TEST_CASE("chunks of a large object are counted") {
  const std::string body = pattern(3 << 20);
  Scene scene(always("Cache-Control: max-age=600\r\nETag: \"v\"\r\nAccept-Ranges: bytes\r\n", body),
              "cache = \"on\"");
  scene.client().fetch("/a");
  const json explained = explain(scene.node, kUrl);
  CHECK(explained["object"]["bytes"] == body.size());
  CHECK(explained["object"]["chunks"]["count"] == 3);
  CHECK(explained["object"]["chunks"]["present"] == 3);
  CHECK(next_of(explained) == "hit");
}

TEST_CASE("asking changes nothing: no hit, no fill, no rank, no read that stays") {
  TempDir folder;
  TestNode::Options options;
  options.disk.disks = {{folder.path() + "/disk", 16 << 20}};
  options.disk.segment_bytes = 1 << 20;
  Scene scene(always("Cache-Control: max-age=600\r\n", std::string(50'000, 'x')), "", kSmall, options);
  scene.client().fetch("/a");
  fill_memory(scene);
  scene.node.settle();
  const auto before = scene.node.store().stats();
  const auto counts = scene.node.store().disk_stats().total().counts;
  const int calls = scene.origin.calls();
  for (int i = 0; i < 5; ++i) {
    explain(scene.node, kUrl);
    explain(scene.node, "http://test.local/filler29");
    explain(scene.node, "http://test.local/never");
  }
  const auto after = scene.node.store().stats();
  CHECK(after.hits == before.hits);
  CHECK(after.misses == before.misses);
  CHECK(after.objects == before.objects);
  using cache::DiskCount;
  for (const DiskCount count : {DiskCount::hits, DiskCount::misses_gone, DiskCount::reads_resident,
                                DiskCount::reads_ram, DiskCount::reads_queued, DiskCount::reads_pooled}) {
    CHECK(scene.node.store().disk_stats().total().count(count) == counts[static_cast<std::size_t>(count)]);
  }
  CHECK(scene.origin.calls() == calls);
  CHECK(scene.node.metric("vignette_fills_started_total") == calls);
}

TEST_CASE("a question that is none says what is wrong with it") {
  Scene scene(always("", "x"), "", "");
  CHECK(scene.node.explain("").starts_with("400 {\"error\":\"name the URL"));
  CHECK(scene.node.explain("/a").starts_with("400 "));
  CHECK(scene.node.explain(kUrl, {"no header"}).starts_with("400 "));
  CHECK(scene.node.explain("http://test.local/\\").starts_with("400 "));
}

TEST_CASE("the document is put into lines, and anything else is shown as it is") {
  Scene scene(always("Cache-Control: max-age=600\r\nCache-Tag: red\r\nVary: Accept-Language\r\n", "12345"));
  scene.client().fetch("/a", "Accept-Language: de\r\n");
  scene.node.settle();
  const std::string lines =
      proxy::explain_summary(scene.node.explain(kUrl, {"Accept-Language: DE"}).substr(4));
  CAPTURE(lines);
  for (const std::string_view part :
       {"http://test.local/a\n  route      */* of site *, origin app\n",
        "\n  key        test.local/a  [http; accept-language:de]\n", "\n  in         memory\n",
        ", status 200, 5 bytes\n", "\n  fresh      600 s by max-age of Cache-Control; age ",
        "\n  tags       red\n", "\n  purges     alive; ", "\n  last miss  never seen before\n",
        "\n  vary       accept-language; this request: accept-language:de\n",
        "accept-language:de <- selected\n", "\n  next       a hit\n"}) {
    CAPTURE(part);
    CHECK(contains(lines, part));
  }
  CHECK(proxy::explain_summary("not json") == "not json");
  CHECK(proxy::explain_summary("{}") == "{}");
}
