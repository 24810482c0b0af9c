// Shared by the tests of the disk log: a volume on a faulty disk, and the simplest index over it.
#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "cache/disk/disk_index.h"
#include "cache/disk/recovery.h"
#include "cache/disk/volume.h"
#include "cache_support.h"
#include "tests/support/faulty_disk.h"

namespace vignette::cache {

inline constexpr std::uint32_t kTestSegment = 64 * 1024;

inline VolumeOptions small_volume(std::uint32_t segments) {
  VolumeOptions options;
  options.bytes = kSegmentsBegin + std::uint64_t{segments} * kTestSegment;
  options.segment_bytes = kTestSegment;
  options.flush_bytes = 8 * 1024;
  options.writeback_bytes = 16 * 1024;
  return options;
}

// What a store does with the volume, on one thread: hash -> location, the newer one wins.
class MapIndex final : public ReclaimPolicy {
 public:
  void put(std::uint64_t hash, const Location& location) {
    const auto found = places.find(hash);
    if (found == places.end() || is_older(found->second, location)) places[hash] = location;
  }
  void apply(const RecoveredEntry& entry) {
    if (!entry.is_erasure) {
      put(entry.hash, entry.location);
      return;
    }
    const auto found = places.find(entry.hash);
    if (found != places.end() && is_older(found->second, entry.location)) places.erase(found);
  }
  bool has(const FooterEntry& entry, const Location& location) const {
    const auto found = places.find(DiskIndex::hash_of(entry.key()));
    return found != places.end() && found->second == location;
  }

  bool wants(const FooterEntry& entry, const Location& location) override {
    return has(entry, location) && is_wanted && is_wanted(entry);
  }
  bool confirms(const NeedleView& needle) override { return !is_confirmed || is_confirmed(needle); }
  void on_moved(const FooterEntry& entry, const Location& from, const Location& to) override {
    REQUIRE(has(entry, from));
    places[DiskIndex::hash_of(entry.key())] = to;
    ++moved;
  }
  void on_dropped(const FooterEntry& entry, const Location& location) override {
    if (has(entry, location)) places.erase(DiskIndex::hash_of(entry.key()));
  }

  std::map<std::uint64_t, Location> places;
  std::function<bool(const FooterEntry&)> is_wanted;
  std::function<bool(const NeedleView&)> is_confirmed;
  int moved = 0;
};

// A volume with its index, which can be stopped and started again.
class LogScene {
 public:
  explicit LogScene(FaultyDisk& disk, std::uint32_t segments = 8)
      : disk_(disk),
        options_(small_volume(segments)),
        log_(LogLevel::warn, [this](LogLevel, std::string_view line) { log_lines += line; }) {}

  // As far as the table of segments.
  Result<void> open() {
    stop();
    auto opened = Volume::open(disk_, options_, clock, log_);
    if (!opened) return std::unexpected(opened.error());
    volume_ = std::move(*opened);
    volume_->set_reclaim_policy(&index);
    recovery_ =
        std::make_unique<Recovery>(*volume_, [this](const RecoveredEntry& entry) { index.apply(entry); });
    return {};
  }
  void recover() {
    while (recovery_->step()) {
    }
  }
  void start() {
    REQUIRE(open());
    recover();
  }
  void stop() {
    recovery_.reset();
    volume_.reset();
    index.places.clear();
  }
  void restart() {
    REQUIRE(volume().close());
    start();
  }
  void resize(std::uint32_t segments) { options_ = small_volume(segments); }

  Volume& volume() { return *volume_; }
  Recovery& recovery() { return *recovery_; }

  Result<Location> put(const ObjectRef& object) {
    auto location = volume().append(*object);
    if (location) index.put(DiskIndex::hash_of(object->key()), *location);
    return location;
  }
  Result<Location> put(std::string_view name, std::size_t size) { return put(object_for(name, size)); }
  void erase(std::string_view name) {
    const Key key = hash_key(name);
    const auto location = volume().append_erasure(key);
    REQUIRE(location);
    recovery_->forget(key, *location);
    index.places.erase(DiskIndex::hash_of(key));
  }
  std::optional<Location> where(std::string_view name) const {
    const auto found = index.places.find(DiskIndex::hash_of(hash_key(name)));
    if (found == index.places.end()) return std::nullopt;
    return found->second;
  }

  // Null: a miss, for the reason in `fault`.
  ObjectRef get(std::string_view name) {
    fault.reset();
    const std::optional<Location> location = where(name);
    if (!location) return nullptr;
    const auto plan = volume().plan(*location);
    if (!plan) return nullptr;
    std::string bytes(plan->bytes, '\0');
    if (plan->ram.empty()) {
      const auto count = volume().file().pread(bytes, plan->file_offset);
      if (!count) return nullptr;
    } else {
      bytes = plan->ram.view();
    }
    const auto needle = volume().verify(*plan, bytes, hash_key(name), name);
    if (needle) return needle->to_object();
    fault = needle.error();
    return nullptr;
  }
  Result<void> snapshot() {
    auto writer = SnapshotWriter::begin(volume());
    if (!writer) return std::unexpected(writer.error());
    for (const auto& [hash, location] : index.places) {
      const auto added = writer->add(hash, volume().file_offset(location), location.bytes, false);
      if (!added) return added;
    }
    return writer->commit();
  }
  // Segments filled with objects that nobody asks for, named by `prefix` and a number.
  void fill(std::string_view prefix, int count, std::size_t size) {
    for (int i = 0; i < count; ++i) REQUIRE(put(std::string(prefix) + std::to_string(i), size));
  }

  ManualClock clock;
  MapIndex index;
  std::optional<NeedleFault> fault;
  std::string log_lines;

 private:
  FaultyDisk& disk_;
  VolumeOptions options_;
  Logger log_;
  std::unique_ptr<Volume> volume_;
  std::unique_ptr<Recovery> recovery_;
};

}  // namespace vignette::cache
