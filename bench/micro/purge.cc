// bench_purge [DIRECTORY]: what a purge by tag costs beside 10^4 and beside 10^7 indexed objects, by turns.
// Its journal lies in DIRECTORY, whose device the synced rows wait for. One thread.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cache/disk/disk_index.h"
#include "cache/object.h"
#include "cache/purge/purge_book.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr int kRounds = 401;

// An even 64-bit stream (splitmix64).
std::uint64_t mixed(std::uint64_t number) {
  number += 0x9E3779B97F4A7C15;
  number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9;
  number = (number ^ number >> 27) * 0x94D049BB133111EB;
  return number ^ number >> 31;
}

// A node's book of purges beside the index of a volume with so many objects.
struct Node {
  Node(std::uint64_t count, const std::string& directory) {
    std::filesystem::create_directories(directory);
    std::string report;
    if (!book.open_journal(directory, report)) std::exit(1);
    index.reserve(static_cast<std::size_t>(count));
    for (std::uint64_t i = 0; i < count; ++i) {
      index.put(mixed(i) >> (64 - DiskIndex::kHashBits), {.offset = i * 4096, .bytes = 4096});
    }
    ObjectHead head;
    head.tags = "album-x photo-y";
    head.sequence = book.sequence();
    object = Object::complete(head, hash_key("h/a"), "h/a", "bytes");
  }

  SystemClock clock;
  PurgeBook book{clock};
  DiskIndex index;
  ObjectRef object;                             // none of the purges names it
  std::vector<double> synced, written, judged;  // microseconds
};

double microseconds_of(const std::function<void()>& what) {
  const auto begun = std::chrono::steady_clock::now();
  what();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begun).count();
}

double median(std::vector<double>& values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

void measure(Node& node, int round) {
  const PurgeTarget target{.kind = PurgeKind::tag, .name = "album-" + std::to_string(round), .origin = {}};
  const auto purge = [&](PurgeBook::Durability durability) {
    if (!node.book.purge(std::span(&target, 1), PurgeMode::hard, durability)) std::exit(1);
  };
  node.written.push_back(microseconds_of([&] { purge(PurgeBook::Durability::written); }));
  node.synced.push_back(microseconds_of([&] { purge(PurgeBook::Durability::synced); }));
  node.judged.push_back(microseconds_of([&] {
    if (node.book.judge(*node.object) != Verdict::live) std::exit(1);
  }));
}

}  // namespace

int main(int count, char** arguments) {
  const std::filesystem::path directory =
      count > 1 ? std::filesystem::path(arguments[1])
                : std::filesystem::temp_directory_path() / "vignette-bench-purge";
  std::vector<std::unique_ptr<Node>> nodes;
  for (const std::uint64_t objects : {10'000U, 10'000'000U}) {
    nodes.push_back(std::make_unique<Node>(objects, (directory / std::to_string(objects)).string()));
  }
  for (int round = 0; round < kRounds; ++round) {
    for (const auto& node : nodes) measure(*node, round);
  }
  fmt::print("medians of {} purges each, microseconds\n{:>12} {:>10} {:>10} {:>22}\n", kRounds, "objects",
             "written", "synced", "first judge() after");
  for (const auto& node : nodes) {
    fmt::print("{:>12} {:>10.1f} {:>10.1f} {:>22.2f}\n", node->index.size(), median(node->written),
               median(node->synced), median(node->judged));
  }
  nodes.clear();
  std::filesystem::remove_all(directory);
  return 0;
}
