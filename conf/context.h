// What the readers of one load share: where errors go and how relative paths are joined.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "conf/loader.h"

namespace vignette::conf {

class Context {
 public:
  // `folder`: what relative paths of a file are joined with.
  void add_file(const std::string& file, const std::string& folder) { folders_[file] = folder; }

  void error(const Position& at, std::string message);
  std::size_t errors() const { return diagnostics_.size(); }
  std::vector<Diagnostic> take_sorted();

  // `path` as named in the file at `at`.
  std::string resolve(const Position& at, std::string_view path) const;

 private:
  std::map<std::string, std::string> folders_;
  std::vector<Diagnostic> diagnostics_;
};

// ` (did you mean "x"?)`, or nothing when no candidate is near.
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates);

// `"a", "b" or "c"`.
std::string quoted_list(const std::vector<std::string>& words);

}  // namespace vignette::conf
