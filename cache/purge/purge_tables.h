// Which names were purged, and by which epochs: urls and tags by identity, prefixes by the identity of the
// origin that they are confined to. Not thread-safe: PurgeBook guards it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/hash.h"
#include "cache/purge/identity.h"
#include "cache/purge/prefix_epochs.h"
#include "cache/purge/purge_record.h"

namespace vignette::cache {

struct PurgeChange;

struct PurgeTables {
  static constexpr std::uint64_t kAnyOrigin = 0;

  PurgeEpoch everything;
  std::unordered_map<std::uint64_t, PurgeEpoch, SpreadHash> names;
  std::map<std::uint64_t, PrefixEpochs> prefixes;

  std::size_t prefix_count() const;
  // Whether there are at most so many names and prefixes once these are added.
  bool has_room(std::span<const PurgeRecord> records, std::size_t most_names,
                std::size_t most_prefixes) const;
  // Records of mode erase count as hard ones, and of mode erased not at all.
  void add(std::span<const PurgeRecord> records);
  // The same in two steps, so that who must wait for a change waits for the second alone, which is short.
  // What it takes the place of is in `change` afterwards.
  PurgeChange with(std::span<const PurgeRecord> records) const;
  void take(PurgeChange& change);
  // What all names of an object say together.
  PurgeEpoch find(std::string_view key_string, std::string_view tags) const;
  // Calls for each name that an object has and that was purged, with the word that a tag is.
  template <typename Visit>
  void for_each_epoch(std::string_view key_string, std::string_view tags, Visit visit) const;
  // What is left of them without the names whose epochs are not above `oldest`.
  PurgeTables without(std::uint64_t oldest) const;
  // The names as records, hard epochs under this mode.
  void append_records(PurgeMode hard_mode, std::string& out) const;

 private:
  void raise(const PurgeRecord& record);
  void add_prefixes(std::uint64_t origin, std::string_view key_string, PurgeEpoch& epoch) const;
};

// Tables that take the place of others in part.
struct PurgeChange {
  PurgeTables next;
  bool replaces_names = false;  // else they are raised, and added where there are none yet
  bool replaces_prefixes = false;
};

template <typename Visit>
void PurgeTables::for_each_epoch(std::string_view key_string, std::string_view tags, Visit visit) const {
  const auto visit_name = [&](std::uint64_t identity, PurgeKind kind, std::string_view word) {
    if (auto name = names.find(identity); name != names.end()) visit(name->second, kind, word);
  };
  const auto visit_prefixes = [&](std::uint64_t origin) {
    PurgeEpoch epoch;
    add_prefixes(origin, key_string, epoch);
    visit(epoch, PurgeKind::prefix, std::string_view());
  };
  visit(everything, PurgeKind::everything, std::string_view());
  visit_name(url_identity(key_string), PurgeKind::url, {});
  visit_prefixes(kAnyOrigin);
  for (std::string_view rest = tags; !rest.empty();) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (word.empty()) continue;
    const std::uint64_t identity = tag_identity(word);
    visit_name(identity, PurgeKind::tag, word);
    if (is_origin_tag(word)) visit_prefixes(identity);
  }
}

}  // namespace vignette::cache
