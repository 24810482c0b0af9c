// What lies on disk, byte by byte (cache/FORMAT.md is the grammar). All numbers are little-endian, all
// structures are copied in and out with memcpy, and nothing read is believed before its CRC32C is right.
#pragma once

#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cache/key.h"

namespace vignette::cache {

static_assert(std::endian::native == std::endian::little, "the format on disk is little-endian");

inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::uint64_t kSegmentsBegin = 64 * 1024;  // offset of segment 0; before it the superblocks
inline constexpr std::uint64_t kSuperblockOffsets[2] = {0, 4096};
inline constexpr std::uint32_t kDefaultSegmentBytes = 16 * 1024 * 1024;
inline constexpr std::uint32_t kSmallestSegmentBytes = 64 * 1024;
inline constexpr std::uint32_t kFewestSegments = 4;    // a volume below is refused
inline constexpr std::uint32_t kNeedleAlignment = 64;  // of offsets and lengths of needles
inline constexpr std::uint32_t kNeedlesBegin = 64;     // in a segment: its header comes first
inline constexpr std::uint32_t kNoSegment = 0xFFFFFFFF;

// The longest needle that a volume takes, header and padding included: longer objects are refused.
constexpr std::uint32_t longest_needle(std::uint32_t segment_bytes) { return segment_bytes / 4; }

struct Uuid {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend auto operator<=>(const Uuid&, const Uuid&) = default;
};

// Where a needle lies. Generations are given out by the volume in rising order, one each time a segment is
// opened, never 0; so the order of locations is the order in which they were written.
struct Location {
  std::uint32_t segment = kNoSegment;
  std::uint32_t offset = 0;      // in the segment; multiple of kNeedleAlignment
  std::uint32_t bytes = 0;       // padding included; multiple of kNeedleAlignment
  std::uint32_t generation = 0;  // of the segment when it was written
  friend bool operator==(const Location&, const Location&) = default;
};

// Whether `a` was written before `b` (of the same volume).
constexpr bool is_older(const Location& a, const Location& b) {
  return a.generation != b.generation ? a.generation < b.generation : a.offset < b.offset;
}

// A segment of a volume, for those who read or write it.
struct SegmentPlace {
  std::uint32_t segment = 0;
  std::uint32_t generation = 0;
  std::uint32_t segment_bytes = 0;
  std::uint64_t file_offset = 0;  // of its first byte
  Uuid uuid;
};

enum class NeedleKind : std::uint8_t {
  object = 1,
  erasure = 2,  // a key and nothing else: older needles of that key are dead
  filler = 3,   // was an object whose bytes were overwritten; stands for an erasure of its key
};

// What the footer of a segment says of one needle.
struct FooterEntry {
  std::uint64_t key_hi = 0;
  std::uint64_t key_lo = 0;
  std::uint32_t offset = 0;    // in the segment
  std::uint32_t bytes = 0;     // padding included
  std::uint64_t sequence = 0;  // ObjectHead::sequence
  std::int64_t stale_at = 0;   // seconds since 1970: when freshness ends, stale-if-error and s-w-r not added
  std::uint16_t status = 0;
  NeedleKind kind = NeedleKind::object;
  std::uint8_t reserved = 0;
  std::uint32_t flags = 0;  // as NeedleHeader::flags

  Key key() const { return {key_hi, key_lo}; }
};
static_assert(sizeof(FooterEntry) == 48);

// Bits of NeedleHeader::flags and FooterEntry::flags.
inline constexpr std::uint32_t kNeedleMustRevalidate = 1U << 0;
inline constexpr std::uint32_t kNeedleNoCache = 1U << 1;
inline constexpr std::uint32_t kNeedleHeuristic = 1U << 2;
inline constexpr std::uint32_t kNeedleVaryMarker = 1U << 3;
inline constexpr std::uint32_t kNeedleManifest = 1U << 4;
inline constexpr std::uint32_t kNeedleHasDate = 1U << 16;
inline constexpr std::uint32_t kNeedleHasLastModified = 1U << 17;
inline constexpr std::uint32_t kNeedleHasContentLength = 1U << 18;

struct Superblock {
  std::uint64_t magic = 0;
  std::uint32_t format_version = 0;
  std::uint32_t segment_bytes = 0;
  Uuid uuid;
  std::int64_t created_at = 0;  // seconds since 1970
  std::uint8_t reserved[20] = {};
  std::uint32_t crc = 0;  // of all before it
};
static_assert(sizeof(Superblock) == 64);

struct SegmentHeader {
  std::uint32_t magic = 0;
  std::uint32_t segment = 0;
  std::uint32_t generation = 0;
  std::uint32_t segment_bytes = 0;
  Uuid uuid;
  std::int64_t opened_at = 0;  // seconds since 1970
  std::uint8_t reserved[20] = {};
  std::uint32_t crc = 0;
};
static_assert(sizeof(SegmentHeader) == kNeedlesBegin);

// The last bytes of a sealed segment; the entries lie right before it.
struct SegmentTrailer {
  std::uint32_t magic = 0;
  std::uint32_t segment = 0;
  std::uint32_t generation = 0;
  std::uint32_t entries = 0;
  std::uint32_t needles_end = 0;  // offset behind the last needle
  std::uint32_t entries_crc = 0;
  std::uint64_t oldest_sequence = 0;  // the smallest of its objects; all ones when it holds none
  std::uint8_t reserved[28] = {};
  std::uint32_t crc = 0;
};
static_assert(sizeof(SegmentTrailer) == 64);

struct NeedleHeader {
  std::uint32_t magic = 0;
  std::uint32_t head_crc = 0;     // of everything behind it up to the body, seeded by crc_seed()
  std::uint32_t body_crc = 0;     // seeded as well
  std::uint32_t total_bytes = 0;  // header, texts and body, without padding
  std::uint32_t segment = 0;      // where it was written, against writes that went astray
  std::uint32_t offset = 0;
  std::uint32_t generation = 0;
  std::uint16_t status = 0;
  NeedleKind kind = NeedleKind::object;
  std::uint8_t reserved = 0;
  std::uint32_t flags = 0;
  std::uint32_t key_bytes = 0;  // the texts follow the header in this order
  std::uint32_t vary_bytes = 0;
  std::uint32_t vary_values_bytes = 0;
  std::uint32_t tags_bytes = 0;
  std::uint32_t fields_bytes = 0;
  std::uint32_t body_bytes = 0;
  std::uint32_t reserved_too = 0;
  std::uint64_t key_hi = 0;
  std::uint64_t key_lo = 0;
  std::uint64_t sequence = 0;
  std::int64_t request_time = 0;  // times and spans in seconds, times since 1970
  std::int64_t response_time = 0;
  std::int64_t date = 0;
  std::int64_t last_modified = 0;
  std::int64_t age_value = 0;
  std::int64_t freshness_lifetime = 0;
  std::int64_t stale_while_revalidate = 0;
  std::int64_t stale_if_error = 0;
  std::uint64_t content_length = 0;
};
static_assert(sizeof(NeedleHeader) == 160);

inline constexpr std::uint64_t kSuperblockMagic = 0x314C4F56544E4756;  // "VGNTVOL1"
inline constexpr std::uint32_t kSegmentMagic = 0x47455356;             // "VSEG"
inline constexpr std::uint32_t kTrailerMagic = 0x444E4556;             // "VEND"
inline constexpr std::uint32_t kNeedleMagic = 0x4C444E56;              // "VNDL"

// What the checksums of a volume start from: bytes of another volume never pass.
std::uint32_t crc_seed(const Uuid& uuid);

// Bytes of a structure in front of its last member `crc`.
template <typename T>
std::string_view checked_bytes(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T) - sizeof(std::uint32_t)};
}
template <typename T>
std::string_view all_bytes(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

constexpr std::uint32_t align_needle(std::uint32_t bytes) {
  return (bytes + kNeedleAlignment - 1) / kNeedleAlignment * kNeedleAlignment;
}

}  // namespace vignette::cache
