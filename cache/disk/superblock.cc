#include "cache/disk/superblock.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "cache/disk/volume.h"

namespace vignette::cache {
namespace {

std::unexpected<Error> refused(Code code, const char* why) { return fail(code, Blame::internal, why); }

Result<Uuid> make_uuid() {
  Uuid uuid;
  if (::getrandom(&uuid, sizeof(uuid), 0) != sizeof(uuid)) {
    return fail(Code::internal, Blame::internal, "getrandom", errno);
  }
  return uuid;
}

// All zeros when the file is shorter.
Result<Superblock> read_copy(const DiskFile& file, std::uint64_t offset) {
  Superblock block;
  std::array<char, sizeof(Superblock)> bytes{};
  const Result<std::size_t> count = file.pread(bytes, offset);
  if (!count) return std::unexpected(count.error());
  if (*count == bytes.size()) std::memcpy(&block, bytes.data(), bytes.size());
  return block;
}

bool is_sound(const Superblock& block) {
  return block.magic == kSuperblockMagic && block.format_version == kFormatVersion &&
         block.crc == crc32c(checked_bytes(block));
}

// Both copies, durable before anything else is: a volume whose formatting was cut short is still all zeros.
Result<void> write_copies(DiskFile& file, const Superblock& block) {
  for (const std::uint64_t offset : kSuperblockOffsets) {
    if (auto written = file.pwrite(all_bytes(block), offset); !written) return written;
  }
  return file.sync_data();
}

// A file that nobody has written to: empty, or zeros where the superblocks belong and nothing behind them.
Result<bool> is_blank(const DiskFile& file, std::uint64_t size) {
  if (size > kSegmentsBegin) return false;
  std::string bytes(static_cast<std::size_t>(size), '\0');
  const Result<std::size_t> count = file.pread(bytes, 0);
  if (!count) return std::unexpected(count.error());
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == '\0'; });
}

Result<Superblock> format(DiskFile& file, std::uint32_t segment_bytes, WallTime now) {
  Superblock block;
  block.magic = kSuperblockMagic;
  block.format_version = kFormatVersion;
  block.segment_bytes = segment_bytes;
  Result<Uuid> uuid = make_uuid();
  if (!uuid) return std::unexpected(uuid.error());
  block.uuid = *uuid;
  block.created_at = now.time_since_epoch().count();
  block.crc = crc32c(checked_bytes(block));
  if (auto written = write_copies(file, block); !written) return std::unexpected(written.error());
  return block;
}

Result<Superblock> read_superblock(DiskFile& file, Logger& log) {
  const std::array<Result<Superblock>, 2> read = {read_copy(file, kSuperblockOffsets[0]),
                                                  read_copy(file, kSuperblockOffsets[1])};
  const std::array<Superblock, 2> copies = {read[0].value_or(Superblock{}), read[1].value_or(Superblock{})};
  for (std::size_t i = 0; i < copies.size(); ++i) {
    if (!is_sound(copies[i])) continue;
    if (is_sound(copies[1 - i])) return copies[i];
    log.warn("disk cache: one of the volume's two superblocks was damaged and is written again");
    if (auto written = write_copies(file, copies[i]); !written) return std::unexpected(written.error());
    return copies[i];
  }
  for (const Result<Superblock>& copy : read) {
    if (!copy) return std::unexpected(copy.error());
  }
  const auto has_magic = [](const Superblock& block) { return block.magic == kSuperblockMagic; };
  if (std::none_of(copies.begin(), copies.end(), has_magic)) {
    return refused(Code::malformed, "the file is not a Vignette volume; move it away");
  }
  const auto is_other_version = [](const Superblock& block) {
    return block.magic != kSuperblockMagic || block.format_version != kFormatVersion;
  };
  if (std::all_of(copies.begin(), copies.end(), is_other_version)) {
    return refused(Code::unsupported, "the volume has another format version; remove it to start empty");
  }
  return refused(Code::malformed, "both superblocks of the volume are damaged; remove it to start empty");
}

// How many segments fit on the disk, from `have` up to `want`: whole, or in ever smaller steps.
Result<std::uint32_t> grow(DiskFile& file, std::uint32_t have, std::uint32_t want,
                           std::uint32_t segment_bytes) {
  std::uint32_t step = want - have;
  while (have < want && step > 0) {
    step = std::min(step, want - have);
    const std::uint64_t at = kSegmentsBegin + std::uint64_t{have} * segment_bytes;
    const Result<void> allocated = file.allocate(at, std::uint64_t{step} * segment_bytes);
    if (!allocated && allocated.error().sys_errno != ENOSPC) return std::unexpected(allocated.error());
    if (allocated) {
      have += step;
    } else {
      step /= 2;
    }
  }
  return have;
}

// A sixty-fourth and one segment are given back, so that the snapshot of the index has room.
std::uint32_t less_headroom(std::uint32_t before, std::uint32_t grown) {
  const std::uint32_t given_back = grown / 64 + 1;
  return std::max(before, grown - std::min(grown, given_back));
}

Result<std::uint32_t> resize(DiskFile& file, std::uint32_t want, std::uint32_t segment_bytes, Logger& log) {
  const Result<std::uint64_t> size = file.size();
  if (!size) return std::unexpected(size.error());
  const std::uint64_t present = *size > kSegmentsBegin ? (*size - kSegmentsBegin) / segment_bytes : 0;
  const auto have = static_cast<std::uint32_t>(std::min<std::uint64_t>(present, want));
  const Result<std::uint32_t> grown = grow(file, have, want, segment_bytes);
  if (!grown) return grown;
  std::uint32_t segments = *grown;
  if (segments < want) {
    segments = less_headroom(have, segments);
    log.warn("disk cache: the disk is full; the volume has {} MiB instead of {} MiB",
             std::uint64_t{segments} * segment_bytes >> 20, std::uint64_t{want} * segment_bytes >> 20);
  }
  if (segments < kFewestSegments) {
    return fail(Code::exhausted, Blame::internal, "the disk has no room for the smallest volume", ENOSPC);
  }
  const std::uint64_t bytes = kSegmentsBegin + std::uint64_t{segments} * segment_bytes;
  if (segments < *grown || *size > bytes) {
    if (auto cut = file.truncate(bytes); !cut) return std::unexpected(cut.error());
  }
  return segments;
}

}  // namespace

Result<VolumeFile> open_volume_file(DiskDirectory& directory, std::uint32_t segments,
                                    std::uint32_t segment_bytes, WallTime now, Logger& log) {
  VolumeFile volume;
  auto file = directory.open(kVolumeFile, OpenMode::create);
  if (!file) return std::unexpected(file.error());
  volume.file = std::move(*file);
  if (auto locked = volume.file->lock(); !locked) {
    if (locked.error().code != Code::refused) return std::unexpected(locked.error());
    return refused(Code::refused, "the volume is in use by another process");
  }
  const Result<std::uint64_t> size = volume.file->size();
  if (!size) return std::unexpected(size.error());
  const Result<bool> blank = is_blank(*volume.file, *size);
  if (!blank) return std::unexpected(blank.error());
  const Result<Superblock> block =
      *blank ? format(*volume.file, segment_bytes, now) : read_superblock(*volume.file, log);
  if (!block) return std::unexpected(block.error());
  if (block->segment_bytes != segment_bytes) {
    return refused(Code::unsupported, "the volume has another segment size; remove it to start empty");
  }
  volume.uuid = block->uuid;
  const Result<std::uint32_t> sized = resize(*volume.file, segments, segment_bytes, log);
  if (!sized) return std::unexpected(sized.error());
  volume.segments = *sized;
  volume.file->advise_random();
  return volume;
}

}  // namespace vignette::cache
