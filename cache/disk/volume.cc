#include "cache/disk/volume.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "base/check.h"
#include "cache/disk/open_segment.h"
#include "cache/disk/reclaim.h"
#include "cache/disk/superblock.h"

namespace vignette::cache {
namespace {

constexpr std::uint32_t kLargestSegmentBytes = 64 * 1024 * 1024;
constexpr std::uint32_t kMostSegments = 1U << 24;

std::unexpected<Error> cannot(Code code, const char* why) { return fail(code, Blame::internal, why); }

Result<std::uint32_t> wanted_segments(const VolumeOptions& options) {
  const std::uint32_t size = options.segment_bytes;
  VCHECK(size >= kSmallestSegmentBytes && size <= kLargestSegmentBytes && (size & (size - 1)) == 0);
  const std::uint64_t room = options.bytes > kSegmentsBegin ? options.bytes - kSegmentsBegin : 0;
  const std::uint64_t segments = std::min<std::uint64_t>(room / size, kMostSegments);
  if (segments < kFewestSegments) return cannot(Code::limit, "a volume has at least four segments");
  return static_cast<std::uint32_t>(segments);
}

void count(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) {
  counter.fetch_add(by, std::memory_order_relaxed);
}

}  // namespace

struct Volume::Parts {
  VolumeFile file;
};

Result<std::unique_ptr<Volume>> Volume::open(DiskDirectory& directory, const VolumeOptions& options,
                                             const Clock& clock, Logger& log) {
  const Result<std::uint32_t> wanted = wanted_segments(options);
  if (!wanted) return std::unexpected(wanted.error());
  Result<VolumeFile> file = open_volume_file(directory, *wanted, options.segment_bytes, clock.wall(), log);
  if (!file) return std::unexpected(file.error());
  return std::unique_ptr<Volume>(new Volume(Parts{std::move(*file)}, directory, options, clock, log));
}

Volume::Volume(Parts parts, DiskDirectory& directory, const VolumeOptions& options, const Clock& clock,
               Logger& log)
    : directory_(directory),
      options_(options),
      clock_(clock),
      log_(log),
      file_(std::move(parts.file.file)),
      uuid_(parts.file.uuid),
      seed_(crc_seed(uuid_)),
      table_(parts.file.segments) {
  drained_sequences_.fill(kNoSequence);
}

Volume::~Volume() = default;

void Volume::start(std::vector<SegmentRecord> records, std::uint32_t next_generation) {
  table_.restore(std::move(records));
  next_generation_ = next_generation;
  is_started_ = true;
  update_levels();
}

SegmentPlace Volume::place_of(std::uint32_t segment) const {
  return {segment, table_.generation(segment), segment_bytes(), file_offset({.segment = segment}), uuid_};
}

std::optional<Location> Volume::locate(std::uint64_t file_offset, std::uint32_t bytes,
                                       std::uint16_t generation_bits) const {
  if (file_offset < kSegmentsBegin) return std::nullopt;
  const std::uint64_t at = file_offset - kSegmentsBegin;
  if (at / segment_bytes() >= segments()) return std::nullopt;
  Location location;
  location.segment = static_cast<std::uint32_t>(at / segment_bytes());
  location.offset = static_cast<std::uint32_t>(at % segment_bytes());
  location.bytes = bytes;
  location.generation = table_.generation(location.segment);
  const bool is_same = static_cast<std::uint16_t>(location.generation) == generation_bits;
  if (location.generation == 0 || !is_same) return std::nullopt;
  return location;
}

std::optional<ReadPlan> Volume::plan(const Location& location) const {
  const bool is_inside = location.offset >= kNeedlesBegin && location.offset < segment_bytes() &&
                         location.bytes >= sizeof(NeedleHeader) &&
                         location.bytes <= segment_bytes() - location.offset;
  if (!is_inside) return std::nullopt;
  ReadPlan plan;
  plan.pin = table_.pin(location.segment, location.generation);
  if (!plan.pin) return std::nullopt;
  plan.location = location;
  plan.file_offset = file_offset(location);
  plan.bytes = location.bytes;
  if (open_generation_.load(std::memory_order_acquire) != location.generation) return plan;
  const std::lock_guard lock(open_mutex_);
  if (open_ && open_->generation() == location.generation) {
    plan.ram = open_->slice(location.offset, location.bytes);
    if (plan.ram.empty()) return std::nullopt;
  }
  return plan;
}

std::expected<NeedleView, NeedleFault> Volume::verify(const ReadPlan& plan, std::string_view bytes,
                                                      const Key& key, std::string_view key_string) const {
  const Location& at = plan.location;
  if (table_.generation(at.segment) != at.generation) return std::unexpected(NeedleFault::reclaimed);
  auto needle = parse_needle(bytes.substr(0, plan.bytes), {at.segment, at.offset, at.generation}, seed_);
  if (!needle) return needle;
  if (needle->kind() == NeedleKind::filler) return std::unexpected(NeedleFault::erased);
  const bool is_it =
      needle->kind() == NeedleKind::object && needle->key() == key && needle->key_string() == key_string;
  if (!is_it) return std::unexpected(NeedleFault::other_key);
  return needle;
}

Result<Location> Volume::append(const Object& object) {
  const std::optional<std::uint32_t> bytes = needle_bytes(object, longest_needle());
  if (!bytes && needle_bytes(object, std::numeric_limits<std::uint32_t>::max() - kNeedleAlignment)) {
    count(counters_.refused_too_long);
    return cannot(Code::limit, "the object is longer than a needle may be");
  }
  if (!bytes) return cannot(Code::unsupported, "the object has values that the disk format does not hold");
  if (auto room = make_room(*bytes); !room) return std::unexpected(room.error());
  const NeedlePlace place{open_->segment(), open_->next_offset(), open_->generation()};
  const FooterEntry entry = encode_needle(object, place, seed_, open_->room(*bytes));
  count(counters_.appended);
  count(counters_.appended_bytes, *bytes);
  return finish_append(entry);
}

Result<Location> Volume::append_erasure(const Key& key) {
  if (auto room = make_room(kErasureBytes); !room) return std::unexpected(room.error());
  const NeedlePlace place{open_->segment(), open_->next_offset(), open_->generation()};
  return finish_append(encode_erasure(key, place, seed_, open_->room(kErasureBytes)));
}

Result<Location> Volume::finish_append(const FooterEntry& entry) {
  const Location location{open_->segment(), entry.offset, entry.bytes, open_->generation()};
  open_->append(entry, clock_.now());
  if (open_->unwritten_bytes() >= options_.flush_bytes) {
    if (auto flushed = flush(); !flushed) return std::unexpected(flushed.error());
  }
  return location;
}

Result<void> Volume::make_room(std::uint32_t bytes) {
  if (!is_started_) return cannot(Code::unavailable, "the volume is not read yet");
  if (open_ && open_->fits(bytes)) return {};
  if (open_) {
    if (auto sealed = seal(); !sealed) return sealed;
  }
  if (auto opened = open_next(); !opened) return opened;
  // What reclaim kept is at most a quarter of a segment, so that a needle fits behind it.
  VCHECK(open_->fits(bytes));
  return {};
}

// The segment after this one is reclaimed at once, into this one: when this one is full, readers of that
// one have long gone.
Result<void> Volume::open_next() {
  if (!drained_) prepare_next();
  if (!drained_ || next_generation_ == kQuarantinedGeneration) {
    return cannot(Code::unavailable, "no segment of the volume can be written");
  }
  if (table_.is_pinned(*drained_)) {
    count(counters_.refused_pinned);
    return cannot(Code::unavailable, "the next segment of the volume is still being read");
  }
  const std::uint32_t segment = *std::exchange(drained_, std::nullopt);
  table_.set_open(segment, next_generation_++);
  BlockRef buffer = spare_.unique() ? std::move(spare_) : BlockRef::allocate(segment_bytes());
  spare_ = BlockRef();
  set_open(std::make_unique<OpenSegment>(place_of(segment), std::move(buffer), clock_.wall()));
  if (auto marked = mark_run(); !marked) return marked;
  prepare_next();
  if (!open_) return fail(Code::io, Blame::internal, "what reclaim kept could not be written", EIO);
  return {};
}

// The first header of a run is made durable, so that the next run knows which generations this one may have
// used (Recovery::kGenerationGap).
Result<void> Volume::mark_run() {
  if (is_run_marked_) return {};
  Result<void> marked = open_->flush(*file_, options_.writeback_bytes);
  if (marked) marked = file_->sync_data();
  is_run_marked_ = marked.has_value();
  return or_quarantine(marked);
}

// A segment that cannot be marked as drained cannot be written either; the next one is tried.
void Volume::prepare_next() {
  while (!drained_) {
    const std::optional<std::uint32_t> free = table_.next_free();
    const std::optional<std::uint32_t> segment = free ? free : table_.oldest_sealed();
    if (!segment) break;
    if (free) {
      table_.set_drained(*segment);
      drained_ = segment;
    } else if (drain(*segment)) {
      drained_ = segment;
    }
  }
  update_levels();
}

// What is kept of it is written before its header says that nothing is left: a crash in between finds it
// twice, and not nowhere. The header goes before the bytes: what was dropped is not found again.
bool Volume::drain(std::uint32_t segment) {
  Reclaim(*this, segment, open_.get()).run();
  static_cast<void>(flush());
  std::rotate(drained_sequences_.begin(), drained_sequences_.begin() + 1, drained_sequences_.end());
  drained_sequences_.back() = table_.record(segment).oldest_sequence;
  const Result<void> marked = mark_drained(segment);
  if (marked) {
    table_.set_drained(segment);
  } else {
    quarantine(segment, marked.error());
  }
  return marked.has_value();
}

Result<void> Volume::mark_drained(std::uint32_t segment) {
  SegmentPlace place = place_of(segment);
  place.generation = 0;
  const SegmentHeader header = make_header(place, clock_.wall());
  return file_->pwrite(all_bytes(header), place.file_offset);
}

void Volume::set_open(std::unique_ptr<OpenSegment> segment) {
  std::unique_ptr<OpenSegment> before;
  {
    const std::lock_guard lock(open_mutex_);
    before = std::exchange(open_, std::move(segment));
    open_generation_.store(open_ ? open_->generation() : 0, std::memory_order_release);
  }
  if (before) spare_ = std::move(*before).take_buffer();
}

Result<void> Volume::seal() {
  const std::uint64_t before = open_->written_bytes();
  Result<void> sealed = open_->seal(*file_, options_.writeback_bytes);
  count(counters_.written_bytes, open_->written_bytes() - before);
  if (!sealed) return or_quarantine(sealed);
  const auto entries = static_cast<std::uint32_t>(open_->entries().size());
  table_.set_sealed(open_->segment(), entries, open_->oldest_sequence());
  count(counters_.sealed);
  set_open(nullptr);
  return {};
}

Result<void> Volume::flush() {
  if (!open_ || !open_->has_unwritten()) return {};
  const std::uint64_t before = open_->written_bytes();
  const Result<void> flushed = open_->flush(*file_, options_.writeback_bytes);
  count(counters_.written_bytes, open_->written_bytes() - before);
  return or_quarantine(flushed);
}

// What was in the open segment is lost: nobody knows which of its bytes reached the file. If it still can be
// said on the disk it is: the segment may be left out for longer than what says that its needles are dead.
Result<void> Volume::or_quarantine(Result<void> written) {
  if (written) return written;
  quarantine(open_->segment(), written.error());
  static_cast<void>(mark_drained(open_->segment()));
  set_open(nullptr);
  return written;
}

void Volume::quarantine(std::uint32_t segment, const Error& error) {
  count(counters_.write_errors);
  log_.warn("disk cache: segment {} cannot be written and is left out: {}", segment, explain(error));
  table_.set_quarantined(segment);
  update_levels();
}

Result<void> Volume::tick() {
  const std::optional<TimePoint> due = next_flush();
  if (!due || clock_.now() < *due) return {};
  return flush();
}

std::optional<TimePoint> Volume::next_flush() const {
  if (!open_ || !open_->has_unwritten()) return std::nullopt;
  return open_->oldest_unwritten() + options_.flush_after;
}

Result<void> Volume::close() {
  if (!open_ || open_->entries().empty()) return {};
  return seal();
}

std::size_t Volume::lift_quarantine() {
  const std::size_t lifted = table_.lift_quarantine();
  update_levels();
  return lifted;
}

std::uint64_t Volume::oldest_sequence() const {
  if (!is_started_) return 0;
  std::uint64_t oldest = table_.oldest_sequence();
  for (const std::uint64_t sequence : drained_sequences_) oldest = std::min(oldest, sequence);
  return open_ ? std::min(oldest, open_->oldest_sequence()) : oldest;
}

std::uint32_t Volume::current_generation() const { return open_ ? open_->generation() : next_generation_; }

void Volume::update_levels() {
  counters_.segments_free.store(table_.free_segments(), std::memory_order_relaxed);
  counters_.segments_quarantined.store(table_.quarantined_segments(), std::memory_order_relaxed);
}

}  // namespace vignette::cache
