// In which tiers a key lies, for reports.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "cache/disk/disk_stats.h"
#include "cache/object.h"

namespace vignette::cache {

// The volume that a key belongs to, whether it is there or not.
struct DiskResidence {
  std::size_t volume = 0;  // in the order of the configuration
  std::string path;
  DiskState state = DiskState::offline;
  bool is_there = false;   // something of the key's hash is in its index or its queue
  bool is_queued = false;  // and not written yet
};

struct Residence {
  ObjectRef in_memory;                // purged or not; null: not there
  std::optional<DiskResidence> disk;  // nullopt: there are no disks
};

}  // namespace vignette::cache
