// Whether a file or folder that is to be written could be: asked before a start, and nothing is made. The
// answers hold for the user that asks, at the moment it asks. May block.
#pragma once

#include <optional>
#include <string>

namespace vignette {

// Why the file cannot be opened for appending, or made in its folder; nullopt: it can.
std::optional<std::string> why_not_writable_file(const std::string& path);

// Why there is no folder in which files can be made, and none can be made in the folder above it; nullopt:
// there is, or it can.
std::optional<std::string> why_not_writable_folder(const std::string& path);

}  // namespace vignette
