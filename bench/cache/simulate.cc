// bench_cache TRACE [PERCENT-OF-ITS-BYTES | SIZE-IN-MiB m]…: object and byte miss ratio of the published
// policies and of the product's own classes, and what the disk tier would be written.
#include <fmt/core.h>

#include <charconv>
#include <string>
#include <utility>
#include <vector>

#include "bench/cache/policies.h"
#include "bench/cache/product.h"
#include "bench/cache/trace.h"

namespace vignette::bench {
namespace {

const std::vector<std::pair<std::string_view, PolicyMaker>> kPolicies = {
    {"FIFO", make_fifo}, {"LRU", make_lru}, {"S3-FIFO", make_s3fifo}, {"product", make_product}};

// "5" is 5 % of the trace's bytes, "128m" 128 MiB; 0: neither.
std::uint64_t size_of(std::string_view word, const TraceFacts& facts) {
  const bool mebibytes = word.ends_with('m');
  if (mebibytes) word.remove_suffix(1);
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (failure != std::errc() || end != word.data() + word.size()) return 0;
  return mebibytes ? number << 20 : facts.unique_bytes / 100 * number;
}

void print_size(const Trace& trace, std::string_view word, std::uint64_t bytes) {
  for (const auto& [name, make] : kPolicies) {
    const ReplayResult result = replay(trace, *make(bytes));
    fmt::print("| {} | {} | {} | {:.4f} | {:.4f} |\n", word, name, result.misses, result.object_miss_ratio(),
               result.byte_miss_ratio());
  }
  TieredPolicy all(bytes, true), chosen(bytes, false);
  const ReplayResult with_all = replay(trace, all), with_chosen = replay(trace, chosen);
  fmt::print("| {} | disk, everything written | {} | {:.4f} | {:.4f} |\n", word, with_all.misses,
             with_all.object_miss_ratio(), with_all.byte_miss_ratio());
  fmt::print("| {} | disk, admission: {:.2f} of the bytes written | {} | {:.4f} | {:.4f} |\n", word,
             static_cast<double>(chosen.written_bytes()) / static_cast<double>(all.written_bytes()),
             with_chosen.misses, with_chosen.object_miss_ratio(), with_chosen.byte_miss_ratio());
}

int run(const std::vector<std::string>& words) {
  if (words.size() < 2) {
    fmt::print(stderr, "bench_cache TRACE SIZE…   (SIZE: percent of the trace's bytes, or MiB as in 128m)\n");
    return 2;
  }
  const Result<Trace> trace = read_trace(words[0]);
  if (!trace) {
    fmt::print(stderr, "{}: {}: {}\n", words[0], trace.error().where, explain(trace.error()));
    return 1;
  }
  const TraceFacts facts = facts_of(*trace);
  fmt::print("{} requests, {} objects, {} bytes asked for, {} unique\n\n", facts.requests, facts.objects,
             facts.asked_bytes, facts.unique_bytes);
  fmt::print("| size | policy | misses | object miss ratio | byte miss ratio |\n|---|---|---|---|---|\n");
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::uint64_t bytes = size_of(words[i], facts);
    if (bytes == 0) {
      fmt::print(stderr, "{} is no size\n", words[i]);
      return 2;
    }
    print_size(*trace, words[i], bytes);
  }
  return 0;
}

}  // namespace
}  // namespace vignette::bench

int main(int count, char** words) { return vignette::bench::run({words + 1, words + count}); }
