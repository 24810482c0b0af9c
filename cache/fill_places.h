// The shared halves of the handles of a fill. For fill*.cc only.
#pragma once

#include <atomic>
#include <mutex>
#include <utility>

#include "cache/fill.h"

namespace vignette::cache {

struct Reader::Place {
  Place(int by_attempt, std::uint64_t at_sequence) : joined_at(at_sequence) {
    if (by_attempt >= 0) owned_attempts = own(by_attempt);
  }
  static unsigned own(int by_attempt) { return 1U << by_attempt; }
  // Whether that attempt asks for this reader's request: then its answer is for this reader, private or not.
  bool owns(int by_attempt) const { return (owned_attempts & own(by_attempt)) != 0; }

  std::atomic<std::uint64_t> position{0};
  std::atomic<bool> is_cut{false};
  std::size_t index = 0;          // among the fill's readers; under its lock
  unsigned owned_attempts = 0;    // a bit each; none: joined
  const std::uint64_t joined_at;  // sequence of purges
};

struct Subscription::State {
  State(Executor& where, std::move_only_function<void()> what)
      : executor(&where), callback(std::move(what)) {}

  // Posts at most once until the callback has begun to run. False: nobody is interested any more.
  static bool wake(const std::shared_ptr<State>& state) {
    const std::lock_guard lock(state->mutex);
    if (state->ended) return false;
    if (!state->pending.exchange(true)) state->executor->post([state] { state->run(); });
    return true;
  }
  void run() {
    pending = false;
    if (!ended) callback();
  }
  // No post begins after this: the executor may go.
  void end() {
    const std::lock_guard lock(mutex);
    ended = true;
  }

  std::mutex mutex;
  std::atomic<bool> pending{false};
  std::atomic<bool> ended{false};
  Executor* executor;
  std::move_only_function<void()> callback;
};

}  // namespace vignette::cache
