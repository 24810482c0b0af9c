// What the node says of its traffic: the top keys and the curve of misses by size of memory.
#include <catch2/catch.hpp>

#include <string>

#include "proxy/admin/insight_report.h"
#include "tests/component/scene.h"

using namespace vignette;
using namespace vignette::test;

namespace {

std::vector<cache::HeavyHitter> top(Scene& scene, cache::TopBy by) {
  scene.node.settle();
  return scene.node.insight().top(by, 10, SystemClock().now()).entries;
}

// Without the variant behind it: who asks for it by which scheme.
std::string url_of(const cache::HeavyHitter& entry) { return entry.name.substr(0, entry.name.find('\n')); }

}  // namespace

TEST_CASE("Hits, misses and bytes are counted by key, of all workers") {
  TestNode::Options options;
  options.workers = 2;
  Scene scene(always("Cache-Control: max-age=86400\r\n", std::string(1000, 'x')), "", "", options);
  for (int i = 0; i < 4; ++i) {
    RawClient client = scene.client();
    for (int k = 0; k < 3; ++k) client.fetch("/hot");
    client.fetch("/warm?a=1");
  }
  const auto hits = top(scene, cache::TopBy::hits);
  REQUIRE(hits.size() == 2);
  CHECK(url_of(hits[0]).ends_with("/hot"));
  CHECK(hits[0].count == 11);
  CHECK(url_of(hits[1]).ends_with("/warm?a=1"));
  CHECK(hits[1].count == 3);
  const auto misses = top(scene, cache::TopBy::misses);
  REQUIRE(misses.size() == 2);
  CHECK(misses[0].count == 1);
  const auto bytes = top(scene, cache::TopBy::bytes);
  REQUIRE(bytes.size() == 2);
  CHECK(bytes[0].count >= 12 * 1000);
  CHECK(url_of(bytes[0]).ends_with("/hot"));
}

TEST_CASE("What is never stored is among the missed and not on the curve") {
  Scene scene(always("Cache-Control: no-store\r\n", "x"));
  RawClient client = scene.client();
  for (int i = 0; i < 100; ++i) client.fetch("/" + std::to_string(i));
  CHECK(top(scene, cache::TopBy::misses).size() == 10);
  CHECK(top(scene, cache::TopBy::hits).empty());
  CHECK(scene.node.insight().what_if().references == 0);
}

TEST_CASE("The curve tells a round of many objects from one that fits") {
  Scene scene(always("Cache-Control: max-age=86400\r\n", std::string(500, 'x')));
  RawClient client = scene.client();
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 400; ++i) client.fetch("/" + std::to_string(i));
  }
  scene.node.settle();
  const cache::ReuseCurve::Answer answer = scene.node.insight().what_if();
  CHECK(answer.sampled_objects > 20);  // an eighth of them, about
  CHECK(answer.sampled_objects < 100);
  CHECK(answer.miss_ratios.back() == Approx(0.5).margin(0.1));
  CHECK(proxy::what_if_json(scene.node.insight(), 1 << 20).starts_with(R"({"memory_bytes":1048576,)"));
}
