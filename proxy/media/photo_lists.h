// What photos directories hold, for galleries: however many ask a worker, a directory is read at most once a
// second. Loop-thread only.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "net/task.h"

namespace vignette::proxy {

struct WorkerContext;

struct PhotoList {
  std::vector<std::string> names;  // below the directory, sorted
  bool cut = false;                // there are more
};
using PhotoListRef = std::shared_ptr<const PhotoList>;

class PhotoLists {
 public:
  // Reads the directory on the file pool, or waits for who does. not_found: it cannot be read; timeout;
  // exhausted: the pool is full; cancelled with the strand.
  net::Task<Result<PhotoListRef>> get(WorkerContext& context, std::string directory);

 private:
  struct Reading;
  static net::Task<void> read(WorkerContext& context, std::string directory,
                              std::shared_ptr<Reading> reading);
  std::shared_ptr<Reading> current(WorkerContext& context, const std::string& directory);

  std::map<std::string, std::shared_ptr<Reading>> readings_;  // under way, or of the last second
};

}  // namespace vignette::proxy
