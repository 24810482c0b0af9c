// What a start reads: the footer, the trailer and the needles of a segment, and the snapshot of the index.
// The first byte says whether the checksums around the hostile bytes are made right.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/crc32c.h"
#include "cache/disk/footer.h"
#include "cache/disk/snapshot.h"
#include "cache/disk/volume.h"
#include "tests/support/faulty_disk.h"

using namespace vignette;
using namespace vignette::cache;

namespace {

constexpr Uuid kUuid{0x1111222233334444, 0x5555666677778888};
constexpr std::uint32_t kBytes = kSmallestSegmentBytes;
constexpr SegmentPlace kPlace{2, 9, kBytes, 0, kUuid};

void check_entries(const std::vector<FooterEntry>& entries) {
  std::uint32_t from = kNeedlesBegin;
  for (const FooterEntry& entry : entries) {
    VCHECK(entry.offset >= from && entry.offset % kNeedleAlignment == 0);
    VCHECK(entry.bytes > 0 && entry.bytes <= kBytes - entry.offset);
    from = entry.offset + entry.bytes;
  }
}

// The hostile bytes are the end of a segment: some entries, then the trailer.
void make_right(std::string& segment) {
  SegmentTrailer trailer;
  char* const at = segment.data() + segment.size() - sizeof(trailer);
  std::memcpy(&trailer, at, sizeof(trailer));
  trailer.magic = kTrailerMagic;
  trailer.segment = kPlace.segment;
  trailer.generation = kPlace.generation;
  const std::uint64_t bytes = std::uint64_t{trailer.entries} * sizeof(FooterEntry);
  if (bytes <= segment.size() - sizeof(trailer)) {
    trailer.entries_crc = crc32c({at - bytes, static_cast<std::size_t>(bytes)}, crc_seed(kUuid));
  }
  trailer.crc = crc32c(checked_bytes(trailer), crc_seed(kUuid));
  std::memcpy(at, &trailer, sizeof(trailer));
}

void check_segment(std::string_view input, bool is_made_right) {
  std::string segment(kBytes, '\0');
  const std::size_t size = std::min<std::size_t>(input.size(), kBytes);
  std::copy_n(input.data(), size, segment.data() + kBytes - size);
  if (is_made_right) make_right(segment);
  FaultyDisk disk;
  disk.set_content("volume", segment);
  const auto file = disk.open("volume", OpenMode::existing);
  if (const auto footer = read_footer(**file, kPlace)) check_entries(footer->entries);
  VCHECK(read_generation(**file, kPlace));
  std::copy_n(input.data(), size, segment.data());
  check_entries(scan_segment(segment, kPlace).found.entries);
}

void check_snapshot(std::string input, bool is_made_right) {
  SnapshotHeader header;
  if (is_made_right && input.size() >= sizeof(header)) {
    std::memcpy(&header, input.data(), sizeof(header));
    header.magic = kSnapshotMagic;
    header.format_version = kFormatVersion;
    header.segment_bytes = kBytes;
    header.uuid = kUuid;
    header.segments %= 64;
    const std::string_view table = std::string_view(input).substr(sizeof(header));
    header.table_crc = crc32c(table.substr(0, header.segments * sizeof(SegmentRecord)), crc_seed(kUuid));
    header.crc = crc32c(checked_bytes(header), crc_seed(kUuid));
    std::memcpy(input.data(), &header, sizeof(header));
  }
  FaultyDisk disk;
  disk.set_content(std::string(kSnapshotFile), input);
  auto reader = SnapshotReader::open(disk, kUuid, kBytes);
  if (!reader) return;
  std::vector<SnapshotEntry> block;
  while (reader->next(block) && !block.empty()) {
    for (const SnapshotEntry& entry : block) {
      bool was_hit = false;
      const Location location = unpack_place(entry.place, was_hit);
      VCHECK(location.bytes % kNeedleAlignment == 0 && location.bytes > 0);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool is_made_right = (data[0] & 1) != 0;
  if ((data[0] & 2) != 0) {
    check_snapshot(std::string(input), is_made_right);
  } else {
    check_segment(input, is_made_right);
  }
  return 0;
}
