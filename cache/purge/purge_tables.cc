#include "cache/purge/purge_tables.h"

#include <algorithm>
#include <set>

namespace vignette::cache {
namespace {

PurgeEpoch epoch_of_record(const PurgeRecord& record) {
  if (record.mode == PurgeMode::soft) return {.hard = 0, .soft = record.epoch, .soft_at = record.at};
  return {.hard = record.epoch, .hard_at = record.at};
}

void append_epoch(PurgeRecord record, const PurgeEpoch& epoch, PurgeMode hard_mode, std::string& out) {
  record.epoch = epoch.hard;
  record.at = epoch.hard_at;
  record.mode = hard_mode;
  if (epoch.hard) append_record(record, out);
  record.epoch = epoch.soft;
  record.at = epoch.soft_at;
  record.mode = PurgeMode::soft;
  if (epoch.soft > epoch.hard) append_record(record, out);
}

}  // namespace

std::size_t PurgeTables::prefix_count() const {
  std::size_t count = 0;
  for (const auto& [origin, set] : prefixes) count += set.size();
  return count;
}

bool PurgeTables::has_room(std::span<const PurgeRecord> records, std::size_t most_names,
                           std::size_t most_prefixes) const {
  std::size_t new_names = 0;
  std::size_t new_prefixes = 0;
  for (const PurgeRecord& record : records) {
    if (record.kind == PurgeKind::everything && record.mode != PurgeMode::soft) return true;
    if (record.kind == PurgeKind::prefix) {
      const auto set = prefixes.find(record.identity);
      new_prefixes += set == prefixes.end() || !set->second.contains(record.name) ? 1 : 0;
    } else if (record.kind != PurgeKind::everything) {
      new_names += names.contains(record.identity) ? 0 : 1;
    }
  }
  return names.size() + new_names <= most_names && prefix_count() + new_prefixes <= most_prefixes;
}

void PurgeTables::raise(const PurgeRecord& record) {
  const PurgeEpoch epoch = epoch_of_record(record);
  switch (record.kind) {
    case PurgeKind::everything:
      everything.raise(epoch);
      if (epoch.hard) *this = without(epoch.hard);
      break;
    case PurgeKind::url:
    case PurgeKind::tag:
      names[record.identity].raise(epoch);
      break;
    case PurgeKind::prefix:
      prefixes[record.identity].raise(record.name, epoch);
      break;
  }
}

void PurgeTables::add(std::span<const PurgeRecord> records) {
  std::set<std::uint64_t> raised;
  for (const PurgeRecord& record : records) {
    if (record.mode == PurgeMode::erased) continue;
    raise(record);
    if (record.kind == PurgeKind::prefix) raised.insert(record.identity);
  }
  for (const std::uint64_t origin : raised) {
    if (auto set = prefixes.find(origin); set != prefixes.end()) set->second.link();
  }
}

// A hard purge of everything leaves none of the names, as its epoch is the latest. A table of names that
// would have to grow is made anew, too: that takes as long.
PurgeChange PurgeTables::with(std::span<const PurgeRecord> records) const {
  const auto ends_all = [](const PurgeRecord& record) {
    return record.kind == PurgeKind::everything && record.mode != PurgeMode::soft;
  };
  PurgeChange change;
  change.replaces_names = std::ranges::any_of(records, ends_all);
  const auto prefix = std::ranges::find(records, PurgeKind::prefix, &PurgeRecord::kind);
  change.replaces_prefixes = change.replaces_names || prefix != records.end();
  PurgeTables& next = change.next;
  next.everything = everything;
  if (change.replaces_prefixes && !change.replaces_names) next.prefixes = prefixes;
  next.add(records);
  const std::size_t most = names.size() + next.names.size();
  const double room = static_cast<double>(names.bucket_count()) * names.max_load_factor();
  if (change.replaces_names || static_cast<double>(most) <= room) return change;
  next.names.reserve(2 * most);
  for (const auto& [identity, epoch] : names) next.names[identity].raise(epoch);
  change.replaces_names = true;
  return change;
}

void PurgeTables::take(PurgeChange& change) {
  everything = change.next.everything;
  if (change.replaces_prefixes) prefixes.swap(change.next.prefixes);
  if (change.replaces_names) {
    names.swap(change.next.names);
    return;
  }
  names.merge(change.next.names);  // leaves those that are known
  for (const auto& [identity, epoch] : change.next.names) names[identity].raise(epoch);
}

PurgeEpoch PurgeTables::find(std::string_view key_string, std::string_view tags) const {
  PurgeEpoch all;
  for_each_epoch(key_string, tags,
                 [&all](const PurgeEpoch& epoch, PurgeKind, std::string_view) { all.raise(epoch); });
  return all;
}

PurgeTables PurgeTables::without(std::uint64_t oldest) const {
  PurgeTables left{.everything = everything, .names = {}, .prefixes = prefixes};
  for (const auto& [identity, epoch] : names) {
    if (epoch.latest() > oldest) left.names.emplace(identity, epoch);
  }
  for (auto& [origin, set] : left.prefixes) set.forget_before(oldest);
  std::erase_if(left.prefixes, [](const auto& set) { return set.second.size() == 0; });
  return left;
}

void PurgeTables::append_records(PurgeMode hard_mode, std::string& out) const {
  for (const auto& [identity, epoch] : names) {
    append_epoch({.kind = PurgeKind::tag, .identity = identity, .name = {}}, epoch, hard_mode, out);
  }
  for (const auto& [origin, set] : prefixes) {
    set.for_each([&, from = origin](std::string_view prefix, const PurgeEpoch& epoch) {
      append_epoch({.kind = PurgeKind::prefix, .identity = from, .name = std::string(prefix)}, epoch,
                   hard_mode, out);
    });
  }
}

void PurgeTables::add_prefixes(std::uint64_t origin, std::string_view key_string, PurgeEpoch& epoch) const {
  if (auto set = prefixes.find(origin); set != prefixes.end()) epoch.raise(set->second.find(key_string));
}

}  // namespace vignette::cache
