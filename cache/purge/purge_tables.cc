#include "cache/purge/purge_tables.h"

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

void PurgeTables::add(const PurgeRecord& record) {
  if (record.mode == PurgeMode::erased) return;
  const PurgeEpoch epoch = epoch_of_record(record);
  switch (record.kind) {
    case PurgeKind::everything:
      everything.raise(epoch);
      if (epoch.hard) forget_before(epoch.hard);
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

PurgeEpoch PurgeTables::find(std::string_view key_string, std::string_view tags) const {
  PurgeEpoch all;
  for_each_epoch(key_string, tags,
                 [&all](const PurgeEpoch& epoch, PurgeKind, std::string_view) { all.raise(epoch); });
  return all;
}

void PurgeTables::forget_before(std::uint64_t oldest) {
  std::erase_if(names, [oldest](const auto& name) { return name.second.latest() <= oldest; });
  for (auto& [origin, set] : prefixes) set.forget_before(oldest);
  std::erase_if(prefixes, [](const auto& set) { return set.second.size() == 0; });
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
