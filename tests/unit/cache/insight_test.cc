// The sketches against exact answers on generated zipf streams.
#include "cache/insight/insight.h"

#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <random>
#include <unordered_map>

using namespace vignette;
using namespace vignette::cache;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

const TimePoint kStart = TimePoint(std::chrono::hours(100));
const HashSecret kSecret = {.first = 0x243f6a8885a308d3, .second = 0x13198a2e03707344};

std::string name_of(std::size_t id) { return "h/" + std::to_string(id); }

std::vector<std::size_t> zipf_stream(std::size_t objects, double skew, std::size_t count, unsigned seed) {
  std::vector<double> cumulative;
  double sum = 0;
  for (std::size_t i = 1; i <= objects; ++i) {
    cumulative.push_back(sum += 1 / std::pow(static_cast<double>(i), skew));
  }
  std::mt19937 random(seed);
  std::vector<std::size_t> stream;
  for (std::size_t i = 0; i < count; ++i) {
    const double at = sum * (static_cast<double>(random()) / 4294967296.0);
    stream.push_back(static_cast<std::size_t>(std::ranges::lower_bound(cumulative, at) - cumulative.begin()));
  }
  return stream;
}

// Sizes in no relation to rank.
std::uint64_t size_of(std::size_t id) { return 1000 + (hash_key(name_of(id)).hi >> 32) % 50'000; }

// Bytes of all other keys since the last reference to the same one, and its own; 0: the first reference.
// A segment tree over the whole stream, in which every key counts at its latest reference.
std::vector<std::uint64_t> reuse_distances(const std::vector<std::size_t>& stream) {
  const std::size_t leaves = std::bit_ceil(stream.size());
  std::vector<std::uint64_t> tree(2 * leaves);
  auto set = [&](std::size_t at, std::uint64_t bytes) {
    tree[at += leaves] = bytes;
    while (at /= 2) tree[at] = tree[2 * at] + tree[2 * at + 1];
  };
  std::unordered_map<std::size_t, std::size_t> latest;
  std::vector<std::uint64_t> distances;
  for (std::size_t now = 0; now < stream.size(); ++now) {
    const std::size_t id = stream[now];
    std::uint64_t bytes = 0;
    if (auto found = latest.find(id); found != latest.end()) {
      bytes = size_of(id);
      for (std::size_t at = found->second + leaves; at > 1; at /= 2) bytes += at % 2 ? 0 : tree[at + 1];
      set(found->second, 0);
    }
    distances.push_back(bytes);
    set(now, size_of(id));
    latest[id] = now;
  }
  return distances;
}

double lru_miss_ratio(const std::vector<std::uint64_t>& distances, double memory) {
  const auto hits = std::ranges::count_if(
      distances, [memory](std::uint64_t bytes) { return bytes > 0 && static_cast<double>(bytes) <= memory; });
  return 1 - static_cast<double>(hits) / static_cast<double>(distances.size());
}

void record(Insight::Recorder& recorder, std::size_t id, bool is_hit, TimePoint now = kStart) {
  const std::string name = name_of(id);
  const Key key = hash_key(name);
  recorder.record({key, name, is_hit, size_of(id), size_of(id)}, now);
}

}  // namespace

TEST_CASE("space-saving is exact while all keys have a place, and never too low after that") {
  HeavyHitters sketch;
  std::map<std::size_t, std::uint64_t> exact;
  for (std::size_t id : zipf_stream(5000, 1.0, 50'000, 1)) {
    sketch.add(hash_key(name_of(id)).lo, name_of(id), 1);
    ++exact[id];
  }
  std::vector<HeavyHitter> entries;
  std::uint64_t floor = 0;
  sketch.add_to(entries, floor);
  REQUIRE(entries.size() == HeavyHitters::kPlaces);
  CHECK(floor <= 50'000 / HeavyHitters::kPlaces);
  for (const HeavyHitter& entry : entries) {
    const std::uint64_t truth = exact[std::stoul(entry.name.substr(2))];
    REQUIRE(entry.count >= truth);
    REQUIRE(entry.count - entry.error <= truth);
  }
  keep_heaviest(entries, 10);
  for (std::size_t i = 0; i < 10; ++i) CHECK(entries[i].name == name_of(i));
}

TEST_CASE("sketches of several workers add up within the error that they state") {
  std::array<HeavyHitters, 3> sketches;
  std::map<std::size_t, std::uint64_t> exact;
  std::size_t turn = 0;
  for (std::size_t id : zipf_stream(3000, 0.9, 60'000, 2)) {
    sketches[turn++ % 3].add(hash_key(name_of(id)).lo, name_of(id), 1);
    ++exact[id];
  }
  std::vector<HeavyHitter> entries;
  std::uint64_t floor = 0;
  for (const HeavyHitters& sketch : sketches) sketch.add_to(entries, floor);
  for (const HeavyHitter& entry : entries) {
    const std::uint64_t truth = exact[std::stoul(entry.name.substr(2))];
    REQUIRE(entry.count <= truth + entry.error);
    REQUIRE(truth <= entry.count + entry.error);
  }
}

TEST_CASE("a name longer than its place keeps its beginning") {
  HeavyHitters sketch;
  sketch.add(1, std::string(1000, 'x'), 5);
  std::vector<HeavyHitter> entries;
  std::uint64_t floor = 0;
  sketch.add_to(entries, floor);
  CHECK(entries.at(0).name == std::string(HeavyHitters::kNameBytes, 'x'));
  CHECK(entries.at(0).count == 5);
}

TEST_CASE("the curve is that of an exact LRU when every key is sampled") {
  const auto stream = zipf_stream(3000, 0.8, 40'000, 3);
  const auto distances = reuse_distances(stream);
  constexpr std::uint64_t kMemory = 4'000'000;
  ReuseCurve curve(kMemory, ReuseCurve::kHashes);
  for (std::size_t id : stream) curve.refer(hash_key(name_of(id)).lo, size_of(id));
  curve.passed(stream.size());
  const ReuseCurve::Answer answer = curve.answer();
  CHECK(answer.sampling_rate == 1);
  CHECK(answer.references == Approx(40'000));
  for (std::size_t i = 0; i < ReuseCurve::kFactors.size(); ++i) {
    const double exact = lru_miss_ratio(distances, ReuseCurve::kFactors[i] * kMemory);
    INFO("factor " << ReuseCurve::kFactors[i]);
    CHECK(answer.miss_ratios[i] == Approx(exact).margin(1e-9));
  }
}

TEST_CASE("the curve of a sample of fixed size is near that of an exact LRU") {
  const auto stream = zipf_stream(60'000, 0.8, 120'000, 4);
  const auto distances = reuse_distances(stream);
  constexpr std::uint64_t kMemory = 100'000'000;
  ReuseCurve curve(kMemory, ReuseCurve::kHashes, ReuseCurve::kHashes);
  for (std::size_t id : stream) {
    curve.refer(hash_key(name_of(id)).lo, size_of(id));
    curve.passed(1);
  }
  const ReuseCurve::Answer answer = curve.answer();
  CHECK(answer.sampled_objects <= ReuseCurve::kPlaces);
  CHECK(answer.sampled_objects > ReuseCurve::kPlaces / 2);
  CHECK(answer.sampling_rate < 0.5);
  for (std::size_t i = 0; i < ReuseCurve::kFactors.size(); ++i) {
    const double exact = lru_miss_ratio(distances, ReuseCurve::kFactors[i] * kMemory);
    INFO("factor " << ReuseCurve::kFactors[i] << " ours " << answer.miss_ratios[i] << " exact " << exact);
    CHECK(std::abs(answer.miss_ratios[i] - exact) < 0.04);
  }
}

TEST_CASE("after many references fewer keys are sampled, and the curve stays near") {
  const auto stream = zipf_stream(40'000, 0.7, 600'000, 6);
  const auto distances = reuse_distances(stream);
  constexpr std::uint64_t kMemory = 100'000'000;
  ReuseCurve curve(kMemory);
  for (std::size_t id : stream) {
    curve.refer(hash_key(name_of(id)).lo, size_of(id));
    curve.passed(1);
  }
  const ReuseCurve::Answer answer = curve.answer();
  CHECK(curve.bound() == ReuseCurve::kSteadyBound);
  CHECK(answer.sampled_objects < 1000);
  for (std::size_t i = 0; i < ReuseCurve::kFactors.size(); ++i) {
    const double exact = lru_miss_ratio(distances, ReuseCurve::kFactors[i] * kMemory);
    INFO("factor " << ReuseCurve::kFactors[i] << " ours " << answer.miss_ratios[i] << " exact " << exact);
    CHECK(std::abs(answer.miss_ratios[i] - exact) < 0.05);
  }
}

TEST_CASE("an empty curve says nothing instead of dividing by zero") {
  const ReuseCurve::Answer answer = ReuseCurve(1000).answer();
  CHECK(answer.references == 0);
  CHECK(answer.miss_ratios[0] == 0);
}

TEST_CASE("a curve whose keys all fall into the first place is full and takes no more") {
  ReuseCurve curve(1000);
  for (std::uint64_t hash = 0; hash < 2 * ReuseCurve::kPlaces; ++hash) {
    curve.refer(hash, 100);
  }
  REQUIRE(ReuseCurve::place_of(2 * ReuseCurve::kPlaces) == 0);
  CHECK(curve.answer().sampled_objects == ReuseCurve::kPlaces);
  CHECK(curve.bound() == 1);
  curve.refer(0, 100);  // what is held goes on being counted
  CHECK(curve.answer().sampled_objects == ReuseCurve::kPlaces);
}

TEST_CASE("clients cannot choose which keys are sampled") {
  constexpr std::uint64_t kKeys = 8000;
  Insight insight(1, 1 << 20, kSecret);
  for (std::uint64_t i = 0; i < kKeys; ++i) {
    const Key key{.hi = hash_key(name_of(i)).hi, .lo = i};
    insight.recorder(0).record({key, name_of(i), true, 100, 100}, kStart);
  }
  const ReuseCurve::Answer answer = insight.what_if();
  CHECK(answer.sampled_objects > kKeys / 8 * 8 / 10);
  CHECK(answer.sampled_objects < kKeys / 8 * 12 / 10);
}

TEST_CASE("few hits and misses are counted exactly") {
  Insight insight(2, 1 << 20, kSecret);
  for (int i = 0; i < 30; ++i) record(insight.recorder(static_cast<unsigned>(i % 2)), 1, true);
  for (int i = 0; i < 20; ++i) record(insight.recorder(0), 2, true);
  for (int i = 0; i < 7; ++i) record(insight.recorder(1), 3, false);
  const Insight::Top hits = insight.top(TopBy::hits, 10, kStart + seconds(30));
  REQUIRE(hits.entries.size() == 2);
  CHECK(hits.over == seconds(30));
  CHECK(hits.entries[0].name == name_of(1));
  CHECK(hits.entries[0].count == 30);
  CHECK(hits.entries[1].count == 20);
  const Insight::Top misses = insight.top(TopBy::misses, 10, kStart);
  REQUIRE(misses.entries.size() == 1);
  CHECK(misses.entries[0].count == 7);
  const Insight::Top bytes = insight.top(TopBy::bytes, 1, kStart);
  REQUIRE(bytes.entries.size() == 1);
  const bool first_is_1 = 30 * size_of(1) > 20 * size_of(2);
  CHECK(bytes.entries[0].name == name_of(first_is_1 ? 1 : 2));
  CHECK(bytes.entries[0].count == (first_is_1 ? 30 * size_of(1) : 20 * size_of(2)));
}

TEST_CASE("many hits are sampled, and the top of them is true to a few percent") {
  Insight insight(2, 1 << 20, kSecret);
  std::map<std::size_t, std::uint64_t> hits, bytes;
  unsigned turn = 0;
  for (std::size_t id : zipf_stream(2000, 1.1, 400'000, 5)) {
    record(insight.recorder(turn++ % 2), id, true);
    ++hits[id];
    bytes[id] += size_of(id);
  }
  const auto by_hits = insight.top(TopBy::hits, 5, kStart).entries;
  REQUIRE(by_hits.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) {
    INFO(by_hits[i].name << ": " << by_hits[i].count << " of " << hits[i]);
    CHECK(by_hits[i].name == name_of(i));
    CHECK(static_cast<double>(by_hits[i].count) == Approx(static_cast<double>(hits[i])).epsilon(0.12));
  }
  for (const HeavyHitter& entry : insight.top(TopBy::bytes, 3, kStart).entries) {
    const std::uint64_t truth = bytes[std::stoul(entry.name.substr(2))];
    INFO(entry.name << ": " << entry.count << " of " << truth);
    CHECK(static_cast<double>(entry.count) == Approx(static_cast<double>(truth)).epsilon(0.15));
  }
}

TEST_CASE("what happened more than two windows ago is forgotten") {
  Insight insight(1, 1 << 20, kSecret);
  record(insight.recorder(0), 1, true);
  record(insight.recorder(0), 2, true, kStart + minutes(11));
  CHECK(insight.top(TopBy::hits, 10, kStart + minutes(12)).entries.size() == 2);
  const auto later = insight.top(TopBy::hits, 10, kStart + minutes(22));
  REQUIRE(later.entries.size() == 1);
  CHECK(later.entries[0].name == name_of(2));
  CHECK(insight.top(TopBy::hits, 10, kStart + minutes(60)).entries.empty());
}

TEST_CASE("the node's curve shows where memory would hold all that is asked for") {
  constexpr std::size_t kObjects = 4000;
  std::uint64_t all = 0;
  for (std::size_t id = 0; id < kObjects; ++id) all += size_of(id);
  Insight insight(2, all / 2, kSecret);
  for (std::size_t round = 0; round < 10; ++round) {
    for (std::size_t id = 0; id < kObjects; ++id) record(insight.recorder(id % 2), id, true);
  }
  const ReuseCurve::Answer answer = insight.what_if();
  CHECK(answer.sampled_objects > 400);
  CHECK(answer.miss_ratios[1] > 0.9);                        // half of the memory: a loop defeats LRU
  CHECK(answer.miss_ratios[4] == Approx(0.1).margin(0.02));  // four times: only first references miss
}

TEST_CASE("what the tier does not keep is no part of the curve") {
  Insight insight(1, 1 << 20, kSecret);
  for (std::size_t id = 0; id < 1000; ++id) {
    const std::string name = name_of(id);
    const Key key = hash_key(name);
    insight.recorder(0).record({key, name, false, 100, 0}, kStart);
  }
  CHECK(insight.what_if().references == 0);
  CHECK(insight.top(TopBy::misses, 1000, kStart).entries.size() == HeavyHitters::kPlaces);
}
