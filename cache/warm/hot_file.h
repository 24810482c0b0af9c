// The hot list as a file beside the journal of purges: written beside the old one, made durable, renamed.
// Both calls block.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/disk/disk_file.h"
#include "cache/warm/hot_list.h"

namespace vignette::cache {

inline constexpr std::string_view kHotFile = "hot.list";

// Errors: io; the old one is still there then.
Result<void> save_hot_file(DiskDirectory& folder, std::span<const HotEntry> entries);
// Empty when there is none. The error is a sentence: it cannot be read, or is not sound.
std::expected<std::vector<HotEntry>, std::string> load_hot_file(DiskDirectory& folder);

}  // namespace vignette::cache
