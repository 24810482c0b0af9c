// Why the cache answers a request as it does: everything that is known of its key, gathered without any
// effect on the cache. Nothing is counted, ranked, promoted or fetched.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cache/fill.h"
#include "cache/freshness.h"
#include "cache/insight/miss_book.h"
#include "cache/purge/purge_book.h"
#include "cache/residence.h"
#include "proxy/admin/explain_key.h"
#include "proxy/node.h"

namespace vignette::proxy {

// Chunks of a large object that are looked for; later ones are not counted.
inline constexpr std::uint64_t kMaxChunksCounted = 65'536;

enum class Tier : std::uint8_t { none, memory, disk, filling };

// A fill that the next request would join.
struct OpenFill {
  std::chrono::seconds since{0};  // its start, or its last sign of life
  bool has_head = false;
  std::uint64_t bytes = 0;  // arrived
};

// What is known of one key.
struct KeyFacts {
  std::string key_string;
  Tier tier = Tier::none;
  std::optional<cache::DiskResidence> disk;  // nullopt: there are no disks
  cache::ObjectRef object;                   // purged or not; null: nothing is stored
  cache::Verdict verdict = cache::Verdict::live;
  std::optional<cache::PurgeCause> purge;  // that made it dead or stale, where it is known
  cache::ServeDecision serve;              // of an object that is not dead
  cache::Lifetime lifetime;                // and the rule that gave it one
  std::optional<OpenFill> fill;
  std::chrono::seconds passes_for{0};  // hit-for-miss; 0: no
  cache::Departure last;               // when something of the key went, or a fill left nothing
  bool may_be_forgotten = false;       // nothing is remembered, but something may have been
  bool lacks_variant = false;          // there are variants, and none for these values
  std::uint64_t chunks = 0;            // of a large object
  std::uint64_t chunks_present = 0;    // of the first kMaxChunksCounted
};

struct KnownVariant {
  std::string values;  // `name:value` lines
  bool is_stored = false;
};

struct Explanation {
  std::string url;
  std::string site;
  std::string route;
  std::string origin;
  cache::CacheMode mode = cache::CacheMode::off;
  WallTime now{};
  std::uint64_t purge_sequence = 0;    // the node's
  std::string vary;                    // list of fields; "": the answer does not vary
  std::string vary_values;             // of this request
  std::vector<KnownVariant> variants;  // stored since the start
  KeyFacts facts;
  std::optional<KeyFacts> original;  // of a picture
};

// Reads a disk where it must: never on a loop. Thread-safe. The error is a sentence for who asked.
std::expected<Explanation, std::string> explain(const Node& node, const Snapshot& snapshot,
                                                const ExplainQuestion& question);

}  // namespace vignette::proxy
