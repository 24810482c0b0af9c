// Opening the file of a volume: its superblocks, and its size.
#pragma once

#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "cache/disk/disk_file.h"
#include "cache/disk/format.h"

namespace vignette::cache {

struct VolumeFile {
  std::unique_ptr<DiskFile> file;  // locked, sized
  Uuid uuid;
  std::uint32_t segments = 0;
};

// As Volume::open() says. `segments` is how many are wanted; fewer come when the disk is full.
Result<VolumeFile> open_volume_file(DiskDirectory& directory, std::uint32_t segments,
                                    std::uint32_t segment_bytes, WallTime now, Logger& log);

}  // namespace vignette::cache
