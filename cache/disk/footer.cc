#include "cache/disk/footer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "base/crc32c.h"
#include "cache/disk/needle.h"

namespace vignette::cache {
namespace {

// Without padding: what is written is what the members say.
static_assert(std::has_unique_object_representations_v<Superblock>);
static_assert(std::has_unique_object_representations_v<SegmentHeader>);
static_assert(std::has_unique_object_representations_v<SegmentTrailer>);
static_assert(std::has_unique_object_representations_v<FooterEntry>);
static_assert(std::has_unique_object_representations_v<NeedleHeader>);
static_assert(std::has_unique_object_representations_v<SegmentRecord>);

std::unexpected<Error> broken() { return fail(Code::malformed, Blame::internal, "footer"); }

// Rising, aligned, inside the segment, of a known kind.
bool is_sound(const FooterEntry& entry, std::uint32_t from, std::uint32_t end) {
  return entry.offset >= from && entry.offset % kNeedleAlignment == 0 &&
         entry.bytes % kNeedleAlignment == 0 && entry.bytes >= align_needle(sizeof(NeedleHeader)) &&
         entry.offset <= end && entry.bytes <= end - entry.offset && entry.kind >= NeedleKind::object &&
         entry.kind <= NeedleKind::filler;
}

bool are_sound(const std::vector<FooterEntry>& entries, std::uint32_t end) {
  std::uint32_t from = kNeedlesBegin;
  for (const FooterEntry& entry : entries) {
    if (!is_sound(entry, from, end)) return false;
    from = entry.offset + entry.bytes;
  }
  return true;
}

bool belongs_here(const SegmentTrailer& trailer, const SegmentPlace& place) {
  return trailer.magic == kTrailerMagic && trailer.segment == place.segment &&
         trailer.generation == place.generation &&
         trailer.crc == crc32c(checked_bytes(trailer), crc_seed(place.uuid));
}

// A needle of this generation begins here, as far as can be told from a header that may be damaged.
bool claims_to_be(std::string_view bytes, const NeedlePlace& place) {
  NeedleHeader header;
  if (bytes.size() < sizeof(header)) return false;
  std::memcpy(&header, bytes.data(), sizeof(header));
  return header.magic == kNeedleMagic && header.generation == place.generation &&
         header.segment == place.segment && header.offset == place.offset;
}

}  // namespace

Result<Footer> read_footer(const DiskFile& file, const SegmentPlace& place) {
  std::array<char, sizeof(SegmentTrailer)> end{};
  const std::uint64_t trailer_at = place.file_offset + place.segment_bytes - sizeof(SegmentTrailer);
  Result<std::size_t> count = file.pread(end, trailer_at);
  if (!count) return std::unexpected(count.error());
  SegmentTrailer trailer;
  std::memcpy(&trailer, end.data(), sizeof(trailer));
  if (*count != end.size() || !belongs_here(trailer, place)) return broken();
  const std::uint64_t bytes = std::uint64_t{trailer.entries} * sizeof(FooterEntry);
  if (bytes + sizeof(trailer) + kNeedlesBegin > place.segment_bytes) return broken();

  Footer footer;
  footer.entries.resize(trailer.entries);
  const std::span<char> raw(reinterpret_cast<char*>(footer.entries.data()), static_cast<std::size_t>(bytes));
  count = file.pread(raw, trailer_at - bytes);
  if (!count) return std::unexpected(count.error());
  if (*count != raw.size()) return broken();
  if (crc32c({raw.data(), raw.size()}, crc_seed(place.uuid)) != trailer.entries_crc) return broken();
  const auto needles_limit = static_cast<std::uint32_t>(place.segment_bytes - sizeof(trailer) - bytes);
  if (!are_sound(footer.entries, needles_limit)) return broken();
  footer.oldest_sequence = trailer.oldest_sequence;
  return footer;
}

Result<std::optional<std::uint32_t>> read_generation(const DiskFile& file, const SegmentPlace& place) {
  std::array<char, sizeof(SegmentHeader)> bytes{};
  const Result<std::size_t> count = file.pread(bytes, place.file_offset);
  if (!count) return std::unexpected(count.error());
  SegmentHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  const bool is_sound = *count == bytes.size() && header.magic == kSegmentMagic &&
                        header.crc == crc32c(checked_bytes(header), crc_seed(place.uuid)) &&
                        header.segment == place.segment && header.uuid == place.uuid &&
                        header.segment_bytes == place.segment_bytes &&
                        header.generation != kQuarantinedGeneration;
  if (!is_sound) return std::nullopt;
  return header.generation;
}

// Old bodies are searched too, and what they hold is for clients and origins to choose: a checksum over as
// many bytes as a header says is taken only where the header claims to be of this place, which they cannot
// know.
Scan scan_segment(std::string_view bytes, const SegmentPlace& place) {
  Scan scan;
  const std::uint32_t seed = crc_seed(place.uuid);
  std::size_t offset = kNeedlesBegin;
  while (offset + sizeof(NeedleHeader) <= bytes.size()) {
    const NeedlePlace here{place.segment, static_cast<std::uint32_t>(offset), place.generation};
    const std::string_view rest = bytes.substr(offset);
    offset += kNeedleAlignment;
    if (!claims_to_be(rest, here)) continue;
    const auto needle = parse_needle(rest, here, seed);
    if (!needle || needle->padded_bytes() > rest.size()) {
      ++scan.damaged;
      continue;
    }
    scan.found.entries.push_back(needle->footer_entry());
    if (needle->kind() == NeedleKind::object) {
      scan.found.oldest_sequence = std::min(scan.found.oldest_sequence, needle->sequence());
    }
    offset = here.offset + needle->padded_bytes();
    scan.needles_end = static_cast<std::uint32_t>(offset);
  }
  return scan;
}

}  // namespace vignette::cache
