// Private keys as bytes of files. A process that has given root up (drop_user) goes on with a key that root
// alone may read, as long as the file is still the one that it read as root: a reload keeps what it cannot
// read, and never takes an old key for a new one.
#pragma once

#include <expected>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "base/file_mark.h"

namespace vignette::net {

// Thread-safe.
class KeyFiles {
 public:
  // The file's bytes, or those of an earlier read() when reading is no longer permitted and the file has not
  // changed since (inode, size, time of modification). The error says why, without the path. May block.
  std::expected<std::string, std::string> read(const std::string& path);

  // The paths that read() has answered from memory since the last call.
  std::set<std::string> take_kept();

 private:
  struct Known {
    FileMark mark;
    std::string bytes;
  };
  std::expected<std::string, std::string> recall(const std::string& path);

  std::mutex mutex_;  // guards what follows
  std::map<std::string, Known> known_;
  std::set<std::string> kept_;
};

}  // namespace vignette::net
