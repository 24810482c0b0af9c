#include "cache/disk/snapshot.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "base/crc32c.h"
#include "cache/disk/recovery.h"

namespace vignette::cache {
namespace {

constexpr unsigned kOffsetShift = 24;
constexpr unsigned kBytesShift = 44;
constexpr unsigned kHitShift = 62;

constexpr std::uint64_t low_bits(std::uint64_t value, unsigned bits) {
  return value & ((std::uint64_t{1} << bits) - 1);
}

std::unexpected<Error> damaged() { return fail(Code::malformed, Blame::internal, "snapshot"); }

template <typename T>
std::string_view bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}
template <typename T>
std::span<char> room_of(std::vector<T>& values) {
  return {reinterpret_cast<char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace

std::uint64_t pack_place(const Location& location, bool was_hit) {
  return std::uint64_t{location.segment} | std::uint64_t{location.offset / kNeedleAlignment} << kOffsetShift |
         std::uint64_t{location.bytes / kNeedleAlignment - 1} << kBytesShift |
         std::uint64_t{was_hit} << kHitShift;
}

Location unpack_place(std::uint64_t place, bool& was_hit) {
  was_hit = low_bits(place >> kHitShift, 1) != 0;
  Location location;
  location.segment = static_cast<std::uint32_t>(low_bits(place, kOffsetShift));
  location.offset = static_cast<std::uint32_t>(low_bits(place >> kOffsetShift, kBytesShift - kOffsetShift)) *
                    kNeedleAlignment;
  location.bytes = static_cast<std::uint32_t>(low_bits(place >> kBytesShift, kHitShift - kBytesShift) + 1) *
                   kNeedleAlignment;
  return location;
}

std::uint32_t block_crc(const SnapshotBlock& block, std::string_view entries, const Uuid& uuid) {
  return crc32c(entries, crc32c(checked_bytes(block), crc_seed(uuid)));
}

Result<SnapshotReader> SnapshotReader::open(DiskDirectory& directory, const Uuid& uuid,
                                            std::uint32_t segment_bytes) {
  auto file = directory.open(kSnapshotFile, OpenMode::existing);
  if (!file) return std::unexpected(file.error());
  SnapshotReader reader;
  reader.file_ = std::move(*file);
  if (auto read = reader.read_header(uuid, segment_bytes); !read) return std::unexpected(read.error());
  return reader;
}

Result<void> SnapshotReader::read(std::span<char> out) {
  const Result<std::size_t> count = file_->pread(out, at_);
  if (!count) return std::unexpected(count.error());
  if (*count != out.size()) return damaged();
  at_ += out.size();
  return {};
}

Result<void> SnapshotReader::read_header(const Uuid& uuid, std::uint32_t segment_bytes) {
  char bytes[sizeof(SnapshotHeader)];
  if (auto done = read(bytes); !done) return done;
  std::memcpy(&header_, bytes, sizeof(header_));
  const bool is_sound = header_.magic == kSnapshotMagic && header_.format_version == kFormatVersion &&
                        header_.segment_bytes == segment_bytes && header_.uuid == uuid &&
                        header_.crc == crc32c(checked_bytes(header_), crc_seed(uuid));
  if (!is_sound) return damaged();
  const Result<std::uint64_t> size = file_->size();
  if (!size) return std::unexpected(size.error());
  if (*size / sizeof(SegmentRecord) < header_.segments) return damaged();
  segments_.resize(header_.segments);
  if (auto done = read(room_of(segments_)); !done) return done;
  if (crc32c(bytes_of(segments_), crc_seed(uuid)) != header_.table_crc) return damaged();
  for (const SegmentRecord& record : segments_) most_entries_ += record.entries;
  most_entries_ = std::min(most_entries_, *size / sizeof(SnapshotEntry));
  return {};
}

Result<void> SnapshotReader::next(std::vector<SnapshotEntry>& entries) {
  char bytes[sizeof(SnapshotBlock)];
  if (auto done = read(bytes); !done) return done;
  SnapshotBlock block;
  std::memcpy(&block, bytes, sizeof(block));
  const bool is_sound =
      block.magic == kBlockMagic && block.number == blocks_ && block.entries <= kSnapshotBlockEntries;
  if (!is_sound) return damaged();
  entries.resize(block.entries);
  if (auto done = read(room_of(entries)); !done) return done;
  if (block_crc(block, bytes_of(entries), header_.uuid) != block.crc) return damaged();
  ++blocks_;
  return {};
}

struct SnapshotWriter::Parts {
  DiskDirectory& directory;
  std::unique_ptr<DiskFile> file;
  Uuid uuid;
  std::uint32_t segment_bytes = 0;
  std::uint32_t segments = 0;
  std::uint64_t at = 0;
  std::uint32_t blocks = 0;
  std::vector<SnapshotEntry> entries;

  Result<void> write(std::string_view bytes) {
    auto written = file->pwrite(bytes, at);
    if (written) at += bytes.size();
    return written;
  }
  Result<void> write_block();
};

Result<void> SnapshotWriter::Parts::write_block() {
  SnapshotBlock block{kBlockMagic, blocks++, static_cast<std::uint32_t>(entries.size()), 0};
  block.crc = block_crc(block, bytes_of(entries), uuid);
  if (auto written = write(all_bytes(block)); !written) return written;
  const std::uint64_t begin = at;
  auto written = write(bytes_of(entries));
  entries.clear();
  // So that little is left for commit() to wait for.
  return written ? file->start_writeback(begin, at - begin) : written;
}

SnapshotWriter::SnapshotWriter(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
SnapshotWriter::SnapshotWriter(SnapshotWriter&&) noexcept = default;
SnapshotWriter& SnapshotWriter::operator=(SnapshotWriter&&) noexcept = default;
SnapshotWriter::~SnapshotWriter() = default;

Result<SnapshotWriter> SnapshotWriter::begin(const Volume& volume) {
  if (!volume.is_recovered()) return fail(Code::unavailable, Blame::internal, "the volume is not read yet");
  auto file = volume.directory().open(kNewSnapshotFile, OpenMode::replace);
  if (!file) return std::unexpected(file.error());
  std::vector<SegmentRecord> records;
  records.reserve(volume.segments());
  for (std::uint32_t segment = 0; segment < volume.segments(); ++segment) {
    records.push_back(volume.table().record(segment));
  }
  SnapshotHeader header;
  header.magic = kSnapshotMagic;
  header.format_version = kFormatVersion;
  header.segment_bytes = volume.segment_bytes();
  header.uuid = volume.uuid();
  header.segments = volume.segments();
  // Not the segment before the open one either: the device may not have all of it yet.
  header.covered = std::max(volume.current_generation(), 2U) - 1;
  header.table_crc = crc32c(bytes_of(records), volume.seed());
  header.crc = crc32c(checked_bytes(header), volume.seed());
  SnapshotWriter writer(std::unique_ptr<Parts>(new Parts{.directory = volume.directory(),
                                                         .file = std::move(*file),
                                                         .uuid = volume.uuid(),
                                                         .segment_bytes = volume.segment_bytes(),
                                                         .segments = volume.segments(),
                                                         .entries = {}}));
  if (auto written = writer.parts_->write(all_bytes(header)); !written)
    return std::unexpected(written.error());
  if (auto written = writer.parts_->write(bytes_of(records)); !written)
    return std::unexpected(written.error());
  return writer;
}

Result<void> SnapshotWriter::add(std::uint64_t hash, std::uint64_t file_offset, std::uint32_t bytes,
                                 bool was_hit) {
  const std::uint64_t at = file_offset - kSegmentsBegin;
  if (file_offset < kSegmentsBegin || at / parts_->segment_bytes >= parts_->segments ||
      bytes < kNeedleAlignment) {
    return fail(Code::malformed, Blame::internal, "not a place in the volume");
  }
  const Location location{static_cast<std::uint32_t>(at / parts_->segment_bytes),
                          static_cast<std::uint32_t>(at % parts_->segment_bytes), bytes, 0};
  parts_->entries.push_back({hash, pack_place(location, was_hit)});
  if (parts_->entries.size() < kSnapshotBlockEntries) return {};
  return parts_->write_block();
}

// The empty block tells a whole file from one that was cut at a block's end.
Result<void> SnapshotWriter::commit() {
  if (!parts_->entries.empty()) {
    if (auto written = parts_->write_block(); !written) return written;
  }
  if (auto written = parts_->write_block(); !written) return written;
  if (auto synced = parts_->file->sync_data(); !synced) return synced;
  return parts_->directory.rename(kNewSnapshotFile, kSnapshotFile);
}

}  // namespace vignette::cache
