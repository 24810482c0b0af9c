// A file and all it includes, as one tree.
#pragma once

#include <string>
#include <vector>

#include "conf/context.h"
#include "conf/tree.h"

namespace vignette::conf {

struct Source {
  std::string name;    // what diagnostics call it
  std::string folder;  // what its relative paths are joined with
};

// Parses `text`, then every file that its `include` names, and so on; cycles, files named twice and
// keys set twice are errors. Every file read is appended to `files`.
Node read_tree(Context& context, const Source& source, std::string_view text,
               std::vector<std::string>& files);

// Whole file; the error is a sentence with the path.
std::expected<std::string, std::string> read_file(const std::string& path);

std::string folder_of(const std::string& path);

}  // namespace vignette::conf
