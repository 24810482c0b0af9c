// Waiting for fills on one worker. However many exchanges of a worker follow a fill, its owner posts the
// worker once per batch of progress; the hub wakes them all. Loop-thread only.
#pragma once

#include <memory>
#include <unordered_map>

#include "cache/fill.h"
#include "net/signal.h"

namespace vignette::proxy {

class FillHub {
  struct Local;

 public:
  // One waiter's interest; the last one to go ends the subscription.
  class Follower {
   public:
    Follower() = default;
    // Check the reader first, then wait: whatever happens after the check wakes this.
    net::SignalOp progress(TimePoint deadline) { return local_->progress.wait(deadline); }

   private:
    friend class FillHub;
    explicit Follower(std::shared_ptr<Local> local) : local_(std::move(local)) {}
    std::shared_ptr<Local> local_;
  };

  explicit FillHub(Executor& executor) : executor_(executor) {}

  Follower follow(const cache::FillRef& fill);

 private:
  struct Local {
    ~Local();
    FillHub* hub = nullptr;
    cache::FillRef fill;
    net::Signal progress;
    cache::Subscription subscription;
  };

  Executor& executor_;
  std::unordered_map<const cache::Fill*, std::weak_ptr<Local>> followed_;
};

}  // namespace vignette::proxy
