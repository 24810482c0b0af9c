// The one door into a worker from other threads: a locked list and an eventfd. Outlives its worker, so
// that a late completion of another thread finds a closed door instead of freed memory.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/executor.h"
#include "base/fd.h"

namespace vignette::net {

class Mailbox final : public Executor {
 public:
  using Letter = std::move_only_function<void()>;

  Mailbox();
  // Thread-safe. After close() the letter is destroyed on the calling thread.
  void post(Letter letter) override;
  // Thread-safe: wakes the loop without a letter.
  void wake();

  // Loop-thread only.
  void take(std::vector<Letter>& into);  // swaps; `into` must be empty
  void close();                          // destroys what is left
  int descriptor() const { return descriptor_.get(); }

 private:
  UniqueFd descriptor_;
  std::mutex mutex_;
  std::vector<Letter> letters_;
  bool closed_ = false;
};

}  // namespace vignette::net
