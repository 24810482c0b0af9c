// Where a completion runs. Folders that must not know the event loop (cache, imaging, geo) take one.
#pragma once

#include <functional>

namespace vignette {

class Executor {
 public:
  virtual ~Executor() = default;
  // Thread-safe. `task` runs later, exactly once, on the executor's own thread, never inside post().
  // After the executor has stopped, tasks are destroyed without running.
  virtual void post(std::move_only_function<void()> task) = 0;
};

}  // namespace vignette
