#include "cache/fill_table.h"

#include "cache/purge/identity.h"

namespace vignette::cache {

// With the shard locked. False: this fill takes nobody any more.
bool FillTable::join(Fill& fill, TimePoint now, Joined& joined) {
  Reader reader = fill.attach();
  if (!reader) return false;
  joined.writer = fill.start_second(now, reader);
  (joined.writer ? seconds_ : joined_).fetch_add(1, std::memory_order_relaxed);
  joined.fill = fill.shared_from_this();
  joined.reader = std::move(reader);
  return true;
}

Joined FillTable::start(Shard& shard, const Key& key, std::string_view key_string, TimePoint now,
                        Sharing sharing) {
  const Pass& pass = pass_of(shard, key);
  const bool passes = sharing != Sharing::always && pass.key == key && pass.until > now;
  auto [writer, reader] = Fill::start(store_, this, key, key_string, now,
                                      passes ? Fill::Listing::unlisted : Fill::Listing::listed);
  Joined joined;
  joined.fill = writer.fill();
  joined.writer = std::move(writer);
  joined.reader = std::move(reader);
  (passes ? passed_ : started_).fetch_add(1, std::memory_order_relaxed);
  if (!passes) shard.slots[key] = {joined.fill, std::string(key_string)};
  return joined;
}

Joined FillTable::join_or_start(const Key& key, std::string_view key_string, TimePoint now,
                                const Object* known, Sharing sharing) {
  Shard& shard = shard_of(key);
  FillRef displaced;  // released after the lock
  const std::lock_guard lock(shard.mutex);
  Joined joined;
  auto slot = shard.slots.find(key);
  if (slot != shard.slots.end() && slot->second.key_string == key_string) {
    if (join(*slot->second.fill, now, joined)) return joined;
    displaced = slot->second.fill;
  }
  ObjectRef stored = store_.peek(key, key_string);
  if (stored && stored.get() != known) {
    joined.hit = std::move(stored);
    return joined;
  }
  return start(shard, key, key_string, now, sharing);
}

bool FillTable::add(const FillRef& fill, const Key& key, std::string_view key_string) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  return shard.slots.try_emplace(key, fill, std::string(key_string)).second;
}

void FillTable::remove(const Fill& fill, const Key& slot_key) {
  Shard& shard = shard_of(slot_key);
  FillRef removed;  // released after the lock
  const std::lock_guard lock(shard.mutex);
  auto slot = shard.slots.find(slot_key);
  if (slot == shard.slots.end() || slot->second.fill.get() != &fill) return;
  removed = std::move(slot->second.fill);
  shard.slots.erase(slot);
}

void FillTable::remember_pass(const Key& key, Reason reason) {
  const TimePoint until = clock_.now() + (reason == Reason::no_room ? kNoRoomPassMemory : kPassMemory);
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  pass_of(shard, key) = {key, until};
}

void FillTable::forget_pass(const Key& key) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  if (Pass& pass = pass_of(shard, key); pass.key == key) pass = {};
}

void FillTable::note_stored(const Object& object) {
  variants_.note(object);
  if (object.tags().find(kManyTags) != std::string_view::npos) ++tags_cut_;
}

Joined FillTable::start_alone(const Key& key, std::string_view key_string, TimePoint now) {
  Fill::Start own = Fill::start(store_, this, key, key_string, now, Fill::Listing::unlisted);
  Joined alone;
  alone.fill = own.writer.fill();
  alone.reader = std::move(own.reader);
  alone.writer = std::move(own.writer);
  return alone;
}

FillRef FillTable::find(const Key& key, std::string_view key_string) const {
  const Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto slot = shard.slots.find(key);
  const bool is_open = slot != shard.slots.end() && slot->second.key_string == key_string;
  return is_open ? slot->second.fill : nullptr;
}

bool FillTable::has_open(const Key& key, std::string_view key_string) const {
  return find(key, key_string) != nullptr;
}

Duration FillTable::passes_for(const Key& key, TimePoint now) const {
  const Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const Pass& pass = shard.passes[key.hi % kPassSlots];
  return pass.key == key && pass.until > now ? pass.until - now : Duration::zero();
}

FillStats FillTable::stats() const {
  FillStats stats;
  stats.started = started_;
  stats.seconds = seconds_;
  stats.joined = joined_;
  stats.passed = passed_;
  stats.variants_dropped = variants_.dropped();
  stats.tags_cut = tags_cut_;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    stats.open += shard.slots.size();
  }
  return stats;
}

}  // namespace vignette::cache
