// What a report may ask of a volume: nothing here counts, marks, reserves, or takes the volume away.
#include "cache/disk/disk_volume.h"

namespace vignette::cache {

void DiskVolume::describe(const Key& key, DiskResidence& residence) const {
  residence.path = options_.path;
  residence.state = state();
  residence.is_there = has(key);
  const std::lock_guard lock(mutex_);
  residence.is_queued = pending_.contains(hash_of(key));
}

ObjectRef DiskVolume::inspect(const Key& key, std::string_view key_string) const {
  const std::uint64_t hash = hash_of(key);
  OpenedRef opened;
  {
    const std::lock_guard lock(mutex_);
    if (const auto pending = pending_.find(hash); pending != pending_.end()) {
      return pending->second.object->is_for(key, key_string) ? pending->second.object : nullptr;
    }
    if (!owed_.contains(hash)) opened = opened_;
  }
  const std::optional<DiskPlace> place = opened ? index_.find(hash) : std::nullopt;
  if (!place) return nullptr;
  const Volume& volume = *opened->volume;
  const auto location = volume.locate(place->offset, place->bytes, place->generation);
  const auto plan = location ? volume.plan(*location) : std::nullopt;
  if (!plan) return nullptr;
  std::string bytes(plan->ram.view());
  if (bytes.empty()) {
    bytes.resize(plan->bytes);
    const auto got = volume.file().pread(bytes, plan->file_offset);
    bytes.resize(got.value_or(0));
  }
  const auto needle = volume.verify(*plan, bytes, key, key_string);
  return needle && needle->kind() == NeedleKind::object ? needle->to_object() : nullptr;
}

}  // namespace vignette::cache
