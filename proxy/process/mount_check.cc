#include "proxy/process/mount_check.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "cache/disk/volume.h"
#include "cache/purge/purge_journal.h"

namespace vignette::proxy {
namespace {

bool holds(const std::string& folder, std::string_view name) {
  std::error_code ignored;
  return std::filesystem::exists(std::filesystem::path(folder) / name, ignored);
}

bool holds_volume(const std::string& folder) { return holds(folder, cache::kVolumeFile); }

}  // namespace

std::vector<std::string> find_missing_mounts(const std::string& state,
                                             const std::vector<std::string>& disks) {
  std::vector<std::string> lines;
  const bool has_journal = holds(state, cache::PurgeJournal::kName);
  const auto known = std::ranges::find_if(disks, holds_volume);
  if (!has_journal && known != disks.end()) {
    lines.push_back(
        fmt::format("[cache] state {}: no journal of purges is there, though {} has a volume (is a mount "
                    "missing?): a new journal is begun, and everything on disks counts as purged",
                    state, *known));
  }
  if (!has_journal && known == disks.end()) return lines;
  for (const std::string& disk : disks) {
    if (holds_volume(disk)) continue;
    lines.push_back(
        fmt::format("[cache] disk {}: no volume is there, though the node has run before (a new "
                    "disk, or is a mount missing?): an empty one is made",
                    disk));
  }
  return lines;
}

}  // namespace vignette::proxy
