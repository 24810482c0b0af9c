// What a start finds in the folders of the cache, told when it looks as if a mount was forgotten: a folder
// that is empty where other folders say that the node has run before.
#pragma once

#include <string>
#include <vector>

namespace vignette::proxy {

// One line for each folder: `state` without a journal of purges though a disk has a volume, and a disk
// without a volume though there is a journal or another disk has one. Empty: all is as it was left, or this
// is the first start. Blocks. Call it before anything is made there.
std::vector<std::string> find_missing_mounts(const std::string& state, const std::vector<std::string>& disks);

}  // namespace vignette::proxy
