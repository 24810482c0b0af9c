// When to look at files that may have changed: every now and then, for as long as the loop runs.
#pragma once

#include "base/clock.h"
#include "net/task.h"
#include "net/worker.h"

namespace vignette::proxy {

// Who has something of files in use.
class WatchedFiles {
 public:
  virtual net::Task<void> look() = 0;

 protected:
  ~WatchedFiles() = default;
};

// Loop-thread only. Outlives the loop's run(), and so do the files.
class FileWatch {
 public:
  // `name` is the strand's, a literal.
  FileWatch(net::Worker& loop, const char* name, WatchedFiles& files)
      : loop_(loop), name_(name), files_(files) {}
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  // From now on, with so much time between two looks; zero: never. A look under way is cancelled.
  void restart(Duration interval);

 private:
  static net::Task<void> strand(FileWatch& watch, Duration interval);

  net::Worker& loop_;
  const char* const name_;
  WatchedFiles& files_;
  net::StrandRef strand_;
};

}  // namespace vignette::proxy
