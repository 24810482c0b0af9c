// The memory tier against plain references, over one deterministic zipf trace of equal objects.
#include <catch2/catch.hpp>
#include <cmath>
#include <deque>
#include <list>
#include <random>
#include <set>
#include <unordered_map>
#include <vector>

#include "cache/memory_store.h"
#include "cache_support.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr int kObjects = 3000;
constexpr int kRequests = 60'000;

std::vector<int> zipf_trace() {
  std::vector<double> cumulative;
  double sum = 0;
  for (int i = 1; i <= kObjects; ++i) cumulative.push_back(sum += 1.0 / std::pow(i, 0.8));
  std::mt19937 random(7);
  std::vector<int> trace;
  for (int i = 0; i < kRequests; ++i) {
    const double at = sum * (static_cast<double>(random()) / 4294967296.0);
    trace.push_back(
        static_cast<int>(std::lower_bound(cumulative.begin(), cumulative.end(), at) - cumulative.begin()));
  }
  return trace;
}

int lru_misses(const std::vector<int>& trace, std::size_t capacity) {
  std::list<int> order;
  std::unordered_map<int, std::list<int>::iterator> where;
  int misses = 0;
  for (int id : trace) {
    if (auto found = where.find(id); found != where.end()) {
      order.splice(order.begin(), order, found->second);
      continue;
    }
    ++misses;
    if (where.size() == capacity) {
      where.erase(order.back());
      order.pop_back();
    }
    order.push_front(id);
    where[id] = order.begin();
  }
  return misses;
}

// S3-FIFO by the book: to main from the first hit on, ghosts as many as main may hold.
int s3fifo_misses(const std::vector<int>& trace, std::size_t capacity) {
  std::deque<int> small, main, ghosts;
  std::set<int> in_ghosts;
  std::unordered_map<int, int> counts;
  const std::size_t main_size = capacity * 9 / 10;
  auto evict = [&] {
    while (true) {
      const bool from_main = main.size() > main_size || small.empty();
      std::deque<int>& queue = from_main ? main : small;
      const int id = queue.front();
      queue.pop_front();
      int& count = counts[id];
      if (from_main ? count > 0 : count >= 1) {
        count = from_main ? count - 1 : 0;
        main.push_back(id);
        continue;
      }
      counts.erase(id);
      if (from_main) return;
      ghosts.push_back(id);
      in_ghosts.insert(id);
      if (ghosts.size() > main_size) {
        in_ghosts.erase(ghosts.front());
        ghosts.pop_front();
      }
      return;
    }
  };
  int misses = 0;
  for (int id : trace) {
    if (auto found = counts.find(id); found != counts.end()) {
      found->second = std::min(found->second + 1, 3);
      continue;
    }
    ++misses;
    if (counts.size() == capacity) evict();
    counts[id] = 0;
    (in_ghosts.erase(id) ? main : small).push_back(id);
  }
  return misses;
}

}  // namespace

TEST_CASE("objects of one size miss as often as in plain S3-FIFO and less often than in LRU") {
  const std::vector<int> trace = zipf_trace();
  constexpr std::size_t kBody = 16'000;
  MemoryStore store({.budget_bytes = 5 << 20, .shards = 1});
  std::uint64_t most = 0;
  for (int id : trace) {
    const std::string name = "h/" + std::to_string(id);
    if (store.try_lookup(hash_key(name), name).object) continue;
    store.insert(object_for(name, kBody));
    most = std::max(most, store.stats().objects);
  }
  const auto misses = static_cast<int>(store.stats().misses);
  const int reference = s3fifo_misses(trace, most);
  const int lru = lru_misses(trace, most);
  INFO("capacity " << most << " ours " << misses << " reference " << reference << " lru " << lru);
  CHECK(most > 300);
  CHECK(std::abs(misses - reference) <= kRequests / 200);
  CHECK(misses < lru);
  CHECK(misses < lru - kRequests / 50);
}
