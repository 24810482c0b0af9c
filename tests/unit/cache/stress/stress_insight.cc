// Workers record while questions are asked and windows turn: nothing is lost while counts are exact, and a
// name never shows another key's bytes. Run it under tsan and asan.
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "cache/insight/insight.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr unsigned kWorkers = 4;
constexpr int kRecords = 30'000;

std::string name_of(int id) { return "h/" + std::to_string(id); }

bool is_consistent(const HeavyHitter& entry) {
  return entry.name.starts_with("h/") && hash_key(entry.name).lo == entry.hash;
}

}  // namespace

TEST_CASE("sketches may be asked while every worker records") {
  Insight insight(kWorkers, 1 << 20);
  std::vector<std::string> names;
  std::vector<Key> keys;
  for (int id = 0; id < 5000; ++id) {
    names.push_back(name_of(id));
    keys.push_back(hash_key(names.back()));
  }
  std::atomic<unsigned> running{kWorkers};
  std::atomic<int> wrong{0};
  std::vector<std::jthread> threads;
  for (unsigned worker = 0; worker < kWorkers; ++worker) {
    threads.emplace_back([&, worker] {
      for (int i = 0; i < kRecords; ++i) {
        const auto id = static_cast<std::size_t>(i % 3 == 0 ? 0 : (i * 7919) % 5000);
        insight.recorder(worker).record({keys[id], names[id], i % 5 != 0, 3000, 3000},
                                        TimePoint(std::chrono::seconds(i / 20)));
      }
      --running;
    });
  }
  threads.emplace_back([&] {
    int second = 0;
    while (running > 0) {
      for (const TopBy by : {TopBy::hits, TopBy::misses, TopBy::bytes}) {
        const auto top = insight.top(by, 50, TimePoint(std::chrono::seconds(++second % 1500)));
        for (const HeavyHitter& entry : top.entries) wrong += !is_consistent(entry);
      }
      const ReuseCurve::Answer answer = insight.what_if();
      for (const double ratio : answer.miss_ratios) wrong += ratio < 0 || ratio > 1;
    }
  });
  threads.clear();
  CHECK(wrong == 0);
  CHECK(insight.what_if().sampled_objects > 300);
  CHECK(insight.what_if().sampled_objects < 900);
}
