// The file of the index beside a volume: a header, the table of segments, then blocks of entries, each with a
// checksum. cache/FORMAT.md has the grammar.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "cache/disk/disk_file.h"
#include "cache/disk/format.h"
#include "cache/disk/segment_table.h"

namespace vignette::cache {

inline constexpr std::uint64_t kSnapshotMagic = 0x31584449544E4756;  // "VGNTIDX1"
inline constexpr std::uint32_t kBlockMagic = 0x4B4C4256;             // "VBLK"
inline constexpr std::uint32_t kSnapshotBlockEntries = 64 * 1024;

struct SnapshotHeader {
  std::uint64_t magic = 0;
  std::uint32_t format_version = 0;
  std::uint32_t segment_bytes = 0;
  Uuid uuid;
  std::uint32_t segments = 0;
  std::uint32_t covered = 0;    // generations below it are in the entries as a whole
  std::uint32_t table_crc = 0;  // of the table of segments that follows
  std::uint8_t reserved[16] = {};
  std::uint32_t crc = 0;
};
static_assert(sizeof(SnapshotHeader) == 64);

struct SnapshotBlock {
  std::uint32_t magic = 0;
  std::uint32_t number = 0;   // from 0
  std::uint32_t entries = 0;  // at most kSnapshotBlockEntries; 0: the end of the file
  std::uint32_t crc = 0;      // of the three before it, then of the entries; seeded by crc_seed()
};
static_assert(sizeof(SnapshotBlock) == 16);

// place: segment:24 offset:20 bytes:18 hit:1, the two in units of kNeedleAlignment.
struct SnapshotEntry {
  std::uint64_t hash = 0;
  std::uint64_t place = 0;
};
static_assert(sizeof(SnapshotEntry) == 16);

std::uint64_t pack_place(const Location& location, bool was_hit);
// Without the generation.
Location unpack_place(std::uint64_t place, bool& was_hit);

// Reads one snapshot from its beginning to its end.
class SnapshotReader {
 public:
  // Code::not_found: there is none; malformed: damaged or of another volume.
  static Result<SnapshotReader> open(DiskDirectory& directory, const Uuid& uuid, std::uint32_t segment_bytes);

  std::uint32_t covered() const { return header_.covered; }
  const std::vector<SegmentRecord>& segments() const { return segments_; }
  // No more entries than that are of use; less than 2^32 for each segment whatever the file says.
  std::uint64_t most_entries() const { return most_entries_; }
  // The next block in place of what `entries` had; empty at the end. malformed: damaged, and the rest cannot
  // be read. One vector for all blocks spares taking a megabyte of fresh memory for each.
  Result<void> next(std::vector<SnapshotEntry>& entries);

 private:
  SnapshotReader() = default;
  Result<void> read_header(const Uuid& uuid, std::uint32_t segment_bytes);
  Result<void> read(std::span<char> out);

  std::unique_ptr<DiskFile> file_;
  SnapshotHeader header_;
  std::vector<SegmentRecord> segments_;
  std::uint64_t most_entries_ = 0;
  std::uint64_t at_ = 0;
  std::uint32_t blocks_ = 0;
};

std::uint32_t block_crc(const SnapshotBlock& block, std::string_view entries, const Uuid& uuid);

}  // namespace vignette::cache
