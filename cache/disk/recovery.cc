#include "cache/disk/recovery.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/hash.h"
#include "cache/disk/disk_index.h"
#include "cache/disk/footer.h"
#include "cache/disk/snapshot.h"

namespace vignette::cache {
namespace {

constexpr std::size_t kHeadersAStep = 64;
// So many segments in a row that were not used since the snapshot end the search for those that were: they
// are used in order, but a few may have been left out by write errors.
constexpr std::size_t kUnchangedToStop = 8;
// The newest segments are read as a whole: their footers may have survived a crash that took needles.
constexpr std::size_t kScannedAnyway = 2;

}  // namespace

struct Recovery::Work {
  std::optional<SnapshotReader> snapshot;
  std::vector<SegmentRecord> snapshot_records;  // as it was written
  std::vector<SegmentRecord> records;           // as it is found now
  std::deque<std::uint32_t> certain;            // to be looked at in any case
  std::deque<std::uint32_t> expected;           // in the order in which they were used since
  std::size_t unchanged = 0;                    // of those, in a row
  std::deque<SegmentPlace> log;                 // to be replayed, oldest first
  std::unordered_map<std::uint64_t, Location, SpreadHash> erased;
  // A block of the snapshot, as it is in the file and as it is handed on.
  std::vector<SnapshotEntry> packed;
  std::vector<RecoveredEntry> block;
};

Recovery::Recovery(Volume& volume, OnEntry on_entry, OnBlock on_block)
    : volume_(volume),
      on_entry_(std::move(on_entry)),
      on_block_(std::move(on_block)),
      work_(std::make_unique<Work>()) {}

Recovery::~Recovery() = default;

bool Recovery::step() {
  switch (phase_) {
    case Phase::begin:
      begin();
      break;
    case Phase::headers:
      read_headers();
      break;
    case Phase::snapshot:
      read_snapshot();
      break;
    case Phase::log:
      read_log();
      break;
    case Phase::done:
      break;
  }
  return phase_ != Phase::done;
}

// With a snapshot only those headers are read that may have changed since: the segment that was open then,
// those it could not write, and then in the order of use.
void Recovery::begin() {
  phase_ = Phase::headers;
  auto opened = SnapshotReader::open(volume_.directory(), volume_.uuid(), volume_.segment_bytes());
  work_->records.resize(volume_.segments());
  if (!opened) {
    stats_.snapshot_damaged = opened.error().code != Code::not_found;
    for (std::uint32_t segment = 0; segment < volume_.segments(); ++segment)
      work_->certain.push_back(segment);
    return;
  }
  stats_.snapshot_used = true;
  work_->snapshot_records = opened->segments();
  work_->snapshot_records.resize(volume_.segments());
  std::vector<SegmentRecord> known = work_->snapshot_records;
  for (std::uint32_t segment = 0; segment < volume_.segments(); ++segment) {
    SegmentRecord& record = known[segment];
    if (record.generation < opened->covered()) continue;
    work_->certain.push_back(segment);
    record = {};
  }
  SegmentTable order(volume_.segments());
  order.restore(known);
  const std::vector<std::uint32_t> expected = order.order_of_use();
  work_->expected.assign(expected.begin(), expected.end());
  work_->records = std::move(known);
  work_->snapshot = std::move(*opened);
}

void Recovery::read_headers() {
  for (std::size_t i = 0; i < kHeadersAStep; ++i) {
    if (!work_->certain.empty()) {
      look_at(work_->certain.front());
      work_->certain.pop_front();
    } else if (!work_->expected.empty() && work_->unchanged < kUnchangedToStop) {
      look_at(work_->expected.front());
      work_->expected.pop_front();
    } else {
      start_volume();
      return;
    }
  }
}

void Recovery::look_at(std::uint32_t segment) {
  ++stats_.headers_read;
  const Result<std::optional<std::uint32_t>> read =
      read_generation(volume_.file(), volume_.place_of(segment));
  if (!read) ++stats_.read_errors;
  const std::optional<std::uint32_t> found = read.value_or(std::nullopt);
  const std::uint32_t covered = work_->snapshot ? work_->snapshot->covered() : 1;
  SegmentRecord& record = work_->records[segment];
  const bool is_used = found.value_or(0) >= covered;
  const bool is_drained = found == 0U && record.generation != 0;
  work_->unchanged = is_used || is_drained ? 0 : work_->unchanged + 1;
  if (is_used || is_drained) record = {found.value_or(0), 0, 0};
}

void Recovery::start_volume() {
  std::uint32_t last = work_->snapshot ? work_->snapshot->covered() : 0;
  for (const SegmentRecord& record : work_->records) last = std::max(last, record.generation);
  const std::uint32_t most = kQuarantinedGeneration - 1 - kGenerationGap;
  const bool is_fresh = last == 0;
  volume_.start(work_->records, is_fresh ? 1 : std::min(last, most) + kGenerationGap);
  phase_ = Phase::snapshot;
  if (work_->snapshot) return;
  plan_log(1);
}

void Recovery::plan_log(std::uint32_t from_generation) {
  phase_ = Phase::log;
  work_->log.clear();
  for (std::uint32_t segment = 0; segment < volume_.segments(); ++segment) {
    const std::uint32_t generation = work_->records[segment].generation;
    if (generation == 0 || generation < from_generation) continue;
    SegmentPlace place = volume_.place_of(segment);
    place.generation = generation;
    work_->log.push_back(place);
  }
  std::ranges::sort(work_->log, {}, &SegmentPlace::generation);
}

// An entry counts when its segment has the generation that it had then; what was still being written then
// comes from the log, which tells what of it has reached the disk. A damaged block makes the rest
// worthless: then every footer is read, which gives the same and more.
void Recovery::read_snapshot() {
  if (!work_->snapshot->next(work_->packed)) {
    stats_.snapshot_damaged = true;
    plan_log(1);
    return;
  }
  if (work_->packed.empty()) {
    plan_log(work_->snapshot->covered());
    return;
  }
  work_->block.clear();
  for (const SnapshotEntry& packed : work_->packed) {
    if (const auto entry = look_up(packed); entry && !is_erased(*entry)) work_->block.push_back(*entry);
  }
  if (on_block_) return on_block_(work_->block);
  for (const RecoveredEntry& entry : work_->block) on_entry_(entry);
}

std::optional<RecoveredEntry> Recovery::look_up(const SnapshotEntry& packed) {
  if (packed.hash >> DiskIndex::kHashBits != 0) return std::nullopt;
  RecoveredEntry entry;
  entry.hash = packed.hash;
  entry.location = unpack_place(packed.place, entry.was_hit);
  const std::uint32_t now = volume_.table().generation(entry.location.segment);
  if (now >= work_->snapshot->covered()) return std::nullopt;
  if (now == 0 || work_->snapshot_records[entry.location.segment].generation != now) {
    ++stats_.snapshot_stale;
    return std::nullopt;
  }
  entry.location.generation = now;
  ++stats_.snapshot_entries;
  return entry;
}

std::uint64_t Recovery::expected_objects() const {
  return work_->snapshot ? work_->snapshot->most_entries() : 0;
}

// A segment that was reclaimed in the meantime has nothing to say any more.
void Recovery::read_log() {
  if (work_->log.empty()) {
    finish();
    return;
  }
  const SegmentPlace place = work_->log.front();
  work_->log.pop_front();
  if (volume_.table().generation(place.segment) != place.generation) return;
  if (work_->log.size() < kScannedAnyway) {
    scan(place);
    return;
  }
  const Result<Footer> footer = read_footer(volume_.file(), place);
  if (!footer) {
    if (footer.error().code == Code::io) ++stats_.read_errors;
    ++stats_.footers_damaged;
    scan(place);
    return;
  }
  ++stats_.footers_read;
  volume_.table_.describe(place.segment, static_cast<std::uint32_t>(footer->entries.size()),
                          footer->oldest_sequence);
  emit_log(place, footer->entries);
}

// The footer is written now, so that the next start and reclaim find one.
void Recovery::scan(const SegmentPlace& place) {
  ++stats_.segments_scanned;
  std::string bytes(place.segment_bytes, '\0');
  const Result<std::size_t> count = volume_.file().pread(bytes, place.file_offset);
  if (!count) ++stats_.read_errors;
  const Scan scan = scan_segment(std::string_view(bytes).substr(0, count.value_or(0)), place);
  stats_.needles_damaged += scan.damaged;
  const std::vector<FooterEntry>& entries = scan.found.entries;
  volume_.table_.describe(place.segment, static_cast<std::uint32_t>(entries.size()),
                          scan.found.oldest_sequence);
  const std::string footer = make_footer(place, entries, scan.needles_end);
  if (count && scan.needles_end + footer.size() <= place.segment_bytes) {
    const auto written =
        volume_.file().pwrite(footer, place.file_offset + place.segment_bytes - footer.size());
    if (!written) volume_.counters_.write_errors.fetch_add(1, std::memory_order_relaxed);
  }
  emit_log(place, entries);
}

void Recovery::emit_log(const SegmentPlace& place, const std::vector<FooterEntry>& found) {
  for (const FooterEntry& needle : found) {
    RecoveredEntry entry;
    entry.hash = DiskIndex::hash_of(needle.key());
    entry.location = {place.segment, needle.offset, needle.bytes, place.generation};
    entry.flags = needle.flags;
    entry.is_erasure = needle.kind != NeedleKind::object;
    ++stats_.log_entries;
    emit(entry);
  }
}

bool Recovery::is_erased(const RecoveredEntry& entry) const {
  const auto erased = work_->erased.find(entry.hash);
  return erased != work_->erased.end() && is_older(entry.location, erased->second);
}

void Recovery::emit(const RecoveredEntry& entry) {
  if (!is_erased(entry)) on_entry_(entry);
}

void Recovery::forget(const Key& key, const Location& by) {
  if (!is_started() || is_done()) return;
  if (work_->erased.size() >= kMostErasures) {
    stats_.cut_short = true;
    finish();
    return;
  }
  work_->erased.insert_or_assign(DiskIndex::hash_of(key), by);
}

void Recovery::finish() {
  phase_ = Phase::done;
  volume_.is_recovered_ = true;
  *work_ = Work();
}

}  // namespace vignette::cache
